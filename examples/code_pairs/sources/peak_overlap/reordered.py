def peak_overlap(intervals):
    peak = active = 0
    changes = []
    for start, end in intervals:
        changes.append((end, -1))
        changes.append((start, 1))
    for _, change in sorted(changes):
        active += change
        if active > peak:
            peak = active
    return peak
