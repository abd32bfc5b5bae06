def momentum_score(series, lookback):
    tail = series[-(lookback + 1):]
    ups = 0.0
    downs = 0.0
    for old, new in zip(tail, tail[1:]):
        move = new - old
        if move > 0:
            ups += move
        else:
            downs -= move
    if ups + downs == 0:
        return 50.0
    return 100 * ups / (ups + downs)
