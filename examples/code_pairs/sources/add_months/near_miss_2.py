from datetime import date


def add_months(iso_date, months):
    start = date.fromisoformat(iso_date)
    year, month = start.year, start.month
    step = 1 if months > 0 else -1
    for _ in range(abs(months)):
        month += step
        if month == 13:
            year, month = year + 1, 1
        elif month == 0:
            month = 12
    for day in range(start.day, 0, -1):
        try:
            return date(year, month, day).isoformat()
        except ValueError:
            continue
