def relative_strength(closes, period):
    changes = [b - a for a, b in zip(closes, closes[1:])][-period:]
    up = sum(change for change in changes if change > 0)
    down = sum(-change for change in changes if change < 0)
    if up == down == 0:
        return 50.0
    if down == 0:
        return 100.0
    ratio = up / down
    return 100 / (1 + ratio)
