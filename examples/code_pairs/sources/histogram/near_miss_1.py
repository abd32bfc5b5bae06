def histogram(values, low, high, bins):
    counts = [0] * bins
    width = (high - low) / bins
    for value in values:
        index = max(0, int((value - low) / width))
        counts[min(index, bins - 1)] += 1
    return counts
