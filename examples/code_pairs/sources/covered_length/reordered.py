def covered_length(intervals):
    reached = None
    covered = 0
    for start, end in sorted(intervals):
        if reached is not None and start <= reached:
            if end <= reached:
                continue
            covered += end - reached
        else:
            covered += end - start
        reached = end
    return covered
