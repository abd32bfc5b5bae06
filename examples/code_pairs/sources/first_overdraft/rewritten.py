from itertools import accumulate


def first_overdraft(opening, transactions):
    balances = list(accumulate(transactions, initial=opening))[1:]
    negative = [index for index, balance in enumerate(balances) if balance < 0]
    return negative[0] if negative else -1
