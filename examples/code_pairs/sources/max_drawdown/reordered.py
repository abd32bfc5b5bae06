def max_drawdown(values):
    peak, worst = None, 0.0
    for value in values:
        if peak is not None and value <= peak:
            loss = (peak - value) / peak
            if loss > worst:
                worst = loss
        else:
            peak = value
    return worst
