def yearly_balances(start_cents, percent, deposit_cents, years):
    if years == 0:
        return []
    interest = int(start_cents * percent / 100)
    first = start_cents + interest + deposit_cents
    return [first, *yearly_balances(first, percent, deposit_cents, years - 1)]
