def percentile(values, percent):
    if not values:
        return None
    ordered = list(values)
    rank = (len(ordered) - 1) * percent / 100
    below = int(rank)
    if below + 1 == len(ordered):
        return float(ordered[below])
    fraction = rank - below
    return ordered[below] + (ordered[below + 1] - ordered[below]) * fraction
