def moving_average(prices, window):
    total = 0.0
    averages = []
    for i, price in enumerate(prices):
        if i >= window:
            total -= prices[i - window]
        total += price
        if i + 1 < window:
            continue
        averages.append(total / window)
    return averages
