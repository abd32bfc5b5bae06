def merge_intervals(intervals):
    ordered = sorted(intervals)
    merged = []
    for start, end in ordered:
        if not merged or merged[-1][1] < start:
            merged.append([start, end])
            continue
        last = merged[-1]
        last[1] = max(end, last[1])
    return merged
