def throttle(burst, refill, times):
    credit = float(burst)
    before = 0.0
    verdicts = []
    for at in times:
        credit = min(burst, credit + (at - before) * refill)
        before = at
        if credit > 1:
            credit -= 1
            verdicts.append(True)
        else:
            verdicts.append(False)
    return verdicts
