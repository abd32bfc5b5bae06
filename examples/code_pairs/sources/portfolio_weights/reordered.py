def portfolio_weights(holdings, prices):
    total = 0
    values = {}
    for symbol in sorted(holdings, reverse=True):
        value = prices[symbol] * holdings[symbol]
        total += value
        values[symbol] = value
    weights = {}
    if total != 0:
        for symbol in holdings:
            weights[symbol] = round(values[symbol] / total, 4)
    return weights
