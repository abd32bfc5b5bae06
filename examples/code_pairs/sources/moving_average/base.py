def moving_average(prices, window):
    averages = []
    total = 0.0
    for i, price in enumerate(prices):
        total += price
        if i >= window:
            total -= prices[i - window]
        if i >= window - 1:
            averages.append(total / window)
    return averages
