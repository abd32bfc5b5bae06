def day_of_week(year, month, day):
    def is_leap(y):
        return y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)

    lengths = [31, 29 if is_leap(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    elapsed = sum(366 if is_leap(y) else 365 for y in range(1, year))
    elapsed += sum(lengths[: month - 1]) + day - 1
    return elapsed % 7
