def moving_average(prices, window):
    return [
        sum(prices[end - window : end]) / window for end in range(window, len(prices))
    ]
