from bisect import insort
from statistics import median


def median_filter(values, size):
    reach = size // 2
    window = []
    for value in values[:reach]:
        insort(window, value)
    filtered = []
    for i in range(len(values)):
        if i + reach < len(values):
            insort(window, values[i + reach])
        if i - reach - 1 >= 0:
            window.remove(values[i - reach - 1])
        filtered.append(float(median(window)))
    return filtered
