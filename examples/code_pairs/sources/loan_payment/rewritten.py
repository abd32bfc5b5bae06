def loan_payment(principal_cents, yearly_percent, months):
    discount = 1 / (1 + yearly_percent / 1200)
    factor = 0.0
    power = 1.0
    for _ in range(months):
        power *= discount
        factor += power
    return round(principal_cents / factor)
