def spiral_order(grid):
    order = []
    rest = [list(row) for row in grid]
    while rest:
        order += rest.pop(0)
        rest = [list(column) for column in zip(*rest[::-1])]
    return order
