def covered_length(intervals):
    covered = 0
    reached = None
    for start, end in sorted(intervals):
        if reached is None or start > reached:
            covered += end - start
            reached = end
        else:
            covered += end - reached
            reached = end
    return covered
