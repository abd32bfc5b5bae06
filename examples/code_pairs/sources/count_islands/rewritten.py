def count_islands(grid):
    land = {(y, x) for y, row in enumerate(grid) for x, cell in enumerate(row) if cell}
    islands = 0
    while land:
        shore = [land.pop()]
        while shore:
            y, x = shore.pop()
            for spot in ((y, x + 1), (y, x - 1), (y + 1, x), (y - 1, x)):
                if spot in land:
                    land.remove(spot)
                    shore.append(spot)
        islands += 1
    return islands
