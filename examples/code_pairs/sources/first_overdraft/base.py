def first_overdraft(opening, transactions):
    balance = opening
    for index, amount in enumerate(transactions):
        balance += amount
        if balance < 0:
            return index
    return -1
