from calendar import monthrange


def next_due_date(invoice_day, term):
    y, m, d = (int(piece) for piece in invoice_day.split("-"))
    serial = y * 12 + (m - 1) + term
    y, m = serial // 12, serial % 12 + 1
    d = min(d, monthrange(y, m)[1])
    return f"{y:04d}-{m:02d}-{d:02d}"
