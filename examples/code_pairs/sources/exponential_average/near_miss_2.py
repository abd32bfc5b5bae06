from itertools import accumulate


def exponential_average(prices, span):
    weight = 2.0 / (1 + span)
    return list(accumulate(prices, lambda before, price: price + weight * (before - price)))
