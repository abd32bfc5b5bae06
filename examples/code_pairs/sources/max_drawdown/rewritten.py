from itertools import accumulate


def max_drawdown(values):
    peaks = accumulate(values, max)
    return max((1 - value / peak for value, peak in zip(values, peaks)), default=0.0)
