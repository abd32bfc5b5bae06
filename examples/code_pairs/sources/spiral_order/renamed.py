def unwind(table):
    seq = []
    if not table:
        return seq
    north, south = 0, len(table) - 1
    west, east = 0, len(table[0]) - 1
    while north <= south and west <= east:
        for x in range(west, east + 1):
            seq.append(table[north][x])
        for y in range(north + 1, south + 1):
            seq.append(table[y][east])
        if north < south and west < east:
            for x in range(east - 1, west - 1, -1):
                seq.append(table[south][x])
            for y in range(south - 1, north, -1):
                seq.append(table[y][west])
        north, south, west, east = north + 1, south - 1, west + 1, east - 1
    return seq
