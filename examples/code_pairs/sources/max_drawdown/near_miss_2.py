from itertools import accumulate


def max_drawdown(values):
    peaks = accumulate(values, min)
    return max((value / peak - 1 for value, peak in zip(values, peaks)), default=0.0)
