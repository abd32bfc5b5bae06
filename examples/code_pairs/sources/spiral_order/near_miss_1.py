def spiral_order(grid):
    order = []
    if not grid:
        return order
    top, bottom = 0, len(grid) - 1
    left, right = 0, len(grid[0]) - 1
    while top <= bottom and left <= right:
        for column in range(left, right + 1):
            order.append(grid[top][column])
        for row in range(top + 1, bottom + 1):
            order.append(grid[row][right])
        if left < right:
            for column in range(right - 1, left - 1, -1):
                order.append(grid[bottom][column])
            for row in range(bottom - 1, top, -1):
                order.append(grid[row][left])
        top, bottom, left, right = top + 1, bottom - 1, left + 1, right - 1
    return order
