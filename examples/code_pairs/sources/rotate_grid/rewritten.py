def rotate_grid(grid):
    return [list(column) for column in zip(*grid[::-1])]
