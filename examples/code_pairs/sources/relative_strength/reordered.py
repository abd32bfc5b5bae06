def relative_strength(closes, period):
    losses, gains = 0.0, 0.0
    recent = closes[-(period + 1):]
    for before, after in zip(recent, recent[1:]):
        change = after - before
        if change <= 0:
            losses -= change
        else:
            gains += change
    moved = gains + losses
    if moved != 0:
        return 100 * gains / moved
    return 50.0
