def card_ok(pan):
    compact = pan.replace(" ", "")
    if len(compact) < 2 or not compact.isdigit():
        return False
    acc = 0
    for idx, symbol in enumerate(reversed(compact)):
        n = int(symbol)
        if idx % 2 == 1:
            n *= 2
            if n > 9:
                n -= 9
        acc += n
    return acc % 10 == 0
