from calendar import monthrange


def add_months(iso_date, months):
    year, month, day = (int(part) for part in iso_date.split("-"))
    index = year * 12 + (month - 1) + months
    year, month = index // 12, index % 12 + 1
    day = min(day, 28)
    return f"{year:04d}-{month:02d}-{day:02d}"
