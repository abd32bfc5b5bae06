def rotate_grid(grid):
    height, width = len(grid), len(grid[0])
    rotated = [[None] * height for _ in range(width)]
    for row in range(height):
        for column in range(width):
            rotated[column][height - 1 - row] = grid[row][column]
    return rotated
