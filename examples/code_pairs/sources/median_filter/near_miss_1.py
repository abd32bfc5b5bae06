def median_filter(values, size):
    half = size // 2
    filtered = []
    for i in range(len(values)):
        window = sorted(values[max(0, i - half) : i + half + 1])
        middle = len(window) // 2
        if len(window) % 2:
            filtered.append(float(window[middle]))
        else:
            filtered.append(float(window[middle - 1]))
    return filtered
