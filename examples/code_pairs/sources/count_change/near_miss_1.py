def fewest_coins(amount, coins):
    best = [0] + [None] * amount
    for total in range(1, amount + 1):
        for coin in coins:
            if coin <= total and best[total - coin] is not None:
                candidate = best[total - coin] + 1
                if best[total] is None or candidate > best[total]:
                    best[total] = candidate
    return -1 if best[amount] is None else best[amount]
