def count_islands(grid):
    seen = set()

    def explore(row, column):
        if not (0 <= row < len(grid) and 0 <= column < len(grid[0])):
            return
        if grid[row][column] == 0 or (row, column) in seen:
            return
        seen.add((row, column))
        explore(row + 1, column)
        explore(row - 1, column)
        explore(row, column + 1)
        explore(row + 1, column + 1)
        explore(row, column - 1)

    islands = 0
    for row in range(len(grid)):
        for column in range(len(grid[row])):
            if grid[row][column] and (row, column) not in seen:
                islands += 1
                explore(row, column)
    return islands
