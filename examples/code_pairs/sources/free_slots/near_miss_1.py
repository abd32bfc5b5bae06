def free_slots(busy, opening, closing, minimum):
    free = []
    cursor = opening
    for start, end in sorted(busy):
        if start - cursor > minimum:
            free.append([cursor, start])
        cursor = max(cursor, end)
    if closing - cursor >= minimum:
        free.append([cursor, closing])
    return free
