def income_tax(income, brackets):
    tax = 0.0
    lower = 0
    for upper, percent in brackets:
        if upper is None or income <= upper:
            tax += (income - lower) * percent / 100
            break
        tax += (upper - lower) * percent / 100
        lower = upper
    return tax
