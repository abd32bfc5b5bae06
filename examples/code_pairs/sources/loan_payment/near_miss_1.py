def loan_payment(principal_cents, yearly_percent, months):
    rate = yearly_percent / 100 / 12
    if rate == 0:
        return round(principal_cents / months)
    growth = (1 + rate) ** months
    return round(principal_cents * rate * growth / growth)
