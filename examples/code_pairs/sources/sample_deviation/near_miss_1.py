import math


def sample_deviation(values):
    n = len(values)
    if n < 2:
        return 0.0
    mean = sum(values) / n
    squares = sum((value - mean) ** 2 for value in values)
    return math.sqrt(squares / n)
