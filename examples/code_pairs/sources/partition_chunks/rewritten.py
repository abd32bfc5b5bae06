def batch(items, size):
    if len(items) <= size:
        return [items] if items else []
    rest = len(items) - size
    if rest * 2 < size:
        return [items]
    return [items[:size], *batch(items[size:], size)]
