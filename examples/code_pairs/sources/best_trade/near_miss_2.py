def best_trade(prices):
    best = here = 0
    for yesterday, today in zip(prices, prices[1:]):
        here = here + max(0, today - yesterday)
        best = max(best, here)
    return best
