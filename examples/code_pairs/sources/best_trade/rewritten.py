def best_trade(prices):
    best = here = 0
    for yesterday, today in zip(prices, prices[1:]):
        here = max(0, here + today - yesterday)
        best = max(best, here)
    return best
