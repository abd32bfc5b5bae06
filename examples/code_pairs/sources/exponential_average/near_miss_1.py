def exponential_average(prices, span):
    alpha = 1 / (span + 1)
    averages = []
    for price in prices:
        if averages:
            averages.append(alpha * price + (1 - alpha) * averages[-1])
        else:
            averages.append(float(price))
    return averages
