def parking_gaps(taken, left_edge, right_edge, length):
    gaps = []
    position = left_edge
    for front, back in sorted(taken):
        if front - position >= length:
            gaps.append([position, front])
        position = back
    if right_edge - position >= length:
        gaps.append([position, right_edge])
    return gaps
