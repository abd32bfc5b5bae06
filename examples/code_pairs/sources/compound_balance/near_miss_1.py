def yearly_balances(start_cents, percent, deposit_cents, years):
    balances = []
    balance = start_cents
    for _ in range(years):
        balance += deposit_cents
        balance += int(balance * percent / 100)
        balances.append(balance)
    return balances
