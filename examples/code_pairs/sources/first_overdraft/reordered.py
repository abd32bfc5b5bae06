def first_overdraft(opening, transactions):
    index = 0
    balance = opening
    for amount in transactions:
        balance = amount + balance
        if 0 > balance:
            return index
        index += 1
    return -1
