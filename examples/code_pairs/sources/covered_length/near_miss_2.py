def covered_length(intervals):
    events = sorted([(start, 1) for start, _ in intervals] + [(end, -1) for _, end in intervals])
    depth = total = previous = 0
    for position, change in events:
        if depth > 1:
            total += position - previous
        depth += change
        previous = position
    return total
