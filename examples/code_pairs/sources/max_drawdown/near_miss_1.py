def max_drawdown(values):
    worst = 0.0
    peak = None
    for value in values:
        if peak is None or value > peak:
            peak = value
        worst = max(worst, peak - value)
    return worst
