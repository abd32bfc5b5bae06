import math


def percentile(values, percent):
    data = sorted(values)
    if len(data) == 0:
        return None
    position = percent / 100 * (len(data) - 1)
    lower, upper = data[math.floor(position)], data[math.ceil(position)]
    share = position % 1
    return lower * share + upper * (1 - share)
