def merge_intervals(intervals):
    pending = [list(interval) for interval in intervals]
    separate = []
    while pending:
        low, high = pending.pop()
        overlapping = [i for i in pending if i[0] <= high and low <= i[1]]
        if not overlapping:
            separate.append([low, high])
            continue
        pending = [i for i in pending if i not in overlapping]
        overlapping.append([low, high])
        pending.append([min(i[0] for i in overlapping), max(i[1] for i in overlapping)])
    return sorted(separate)
