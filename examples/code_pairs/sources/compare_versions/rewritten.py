from itertools import zip_longest


def compare_versions(a, b):
    for x, y in zip_longest(a.split("."), b.split("."), fillvalue="0"):
        difference = int(x) - int(y)
        if difference < 0:
            return -1
        if difference > 0:
            return 1
    return 0
