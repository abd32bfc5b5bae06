def relative_strength(closes, period):
    recent = closes[-period:]
    gains = 0.0
    losses = 0.0
    for before, after in zip(recent, recent[1:]):
        change = after - before
        if change > 0:
            gains += change
        else:
            losses -= change
    if gains + losses == 0:
        return 50.0
    return 100 * gains / (gains + losses)
