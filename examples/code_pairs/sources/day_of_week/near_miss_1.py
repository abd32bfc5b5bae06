def day_of_week(year, month, day):
    if month < 3:
        month += 12
        year -= 1
    century, rest = divmod(year, 100)
    h = (day + 13 * (month + 1) // 5 + rest + rest // 4 + century // 4 + 5 * century) % 7
    return (h + 6) % 7
