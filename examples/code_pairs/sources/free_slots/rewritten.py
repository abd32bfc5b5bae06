def free_slots(busy, opening, closing, minimum):
    edges = sorted(busy) + [[closing, closing]]
    ends = [opening]
    for _, end in edges:
        ends.append(max(ends[-1], end))
    gaps = [[end, start] for end, (start, _) in zip(ends, edges)]
    return [gap for gap in gaps if gap[1] - gap[0] >= minimum]
