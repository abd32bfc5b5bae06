def histogram(values, low, high, bins):
    counts = [0] * bins
    width = (high - low) / bins
    for value in values:
        if value < low or value > high:
            continue
        index = int((value - low) / width)
        counts[min(index, bins - 1)] += 1
    return counts
