def peak_overlap(intervals):
    changes = []
    for start, end in intervals:
        changes.append((start, 1))
        changes.append((end, -1))
    changes.sort()
    active = peak = 0
    for _, change in changes:
        active += change
        peak = max(peak, active)
    return peak
