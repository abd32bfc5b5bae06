def join_bookings(slots):
    calendar = []
    for opening, closing in sorted(slots):
        if calendar and opening <= calendar[-1][1]:
            calendar[-1][1] = max(calendar[-1][1], closing)
        else:
            calendar.append([opening, closing])
    return calendar
