def when_empty(stock, movements):
    level = stock
    for step, delta in enumerate(movements):
        level += delta
        if level < 0:
            return step
    return -1
