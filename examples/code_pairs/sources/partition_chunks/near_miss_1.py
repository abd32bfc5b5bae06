def batch(items, size):
    batches = []
    for start in range(0, len(items), size):
        batches.append(items[start : start + size])
    if len(batches) > 1 and len(batches[-1]) * 2 <= size:
        short = batches.pop()
        batches[-1] = batches[-1] + short
    return batches
