def sample_deviation(values):
    count = 0
    mean = spread = 0.0
    for value in values:
        count += 1
        delta = value - mean
        mean += delta / count
        spread += delta * (value - mean)
    return (spread / (count - 1)) ** 0.5 if count > 1 else 0.0
