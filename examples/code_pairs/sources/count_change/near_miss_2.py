def fewest_coins(amount, coins):
    used = 0
    for coin in sorted(coins, reverse=True):
        count, amount = divmod(amount, coin)
        used += count
    return used if amount == 0 else -1
