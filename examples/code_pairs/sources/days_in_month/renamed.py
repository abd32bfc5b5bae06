def billing_days(y, m):
    if m == 2:
        bissextile = y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)
        return 29 if bissextile else 28
    if m in (4, 6, 9, 11):
        return 30
    return 31
