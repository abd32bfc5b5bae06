def widest_rise(levels):
    gain = 0
    floor = float("inf")
    for level in levels:
        if level < floor:
            floor = level
        elif level - floor > gain:
            gain = level - floor
    return gain
