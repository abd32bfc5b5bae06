def latency_at(samples, level):
    if not samples:
        return None
    ranked = sorted(samples)
    spot = (len(ranked) - 1) * level / 100
    index = int(spot)
    if index + 1 == len(ranked):
        return float(ranked[index])
    rest = spot - index
    return ranked[index] + (ranked[index + 1] - ranked[index]) * rest
