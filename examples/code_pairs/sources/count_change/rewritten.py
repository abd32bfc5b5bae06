def fewest_coins(amount, coins):
    reached = {0}
    frontier = {0}
    used = 0
    while frontier:
        if amount in frontier:
            return used
        frontier = {
            total + coin for total in frontier for coin in coins if total + coin <= amount
        } - reached
        reached |= frontier
        used += 1
    return -1
