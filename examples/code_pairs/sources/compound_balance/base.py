def yearly_balances(start_cents, percent, deposit_cents, years):
    balances = []
    balance = start_cents
    for _ in range(years):
        balance += int(balance * percent / 100)
        balance += deposit_cents
        balances.append(balance)
    return balances
