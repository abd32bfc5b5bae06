def deepest_fall(equity_curve):
    biggest = 0.0
    top = None
    for level in equity_curve:
        if top is None or level > top:
            top = level
        biggest = max(biggest, (top - level) / top)
    return biggest
