def rotate_grid(grid):
    height, width = len(grid), len(grid[0])
    rotated = [[None] * height for _ in range(width)]
    for row in range(height):
        for column in range(width):
            rotated[width - 1 - column][row] = grid[row][column]
    return rotated
