def compose(outer, inner_map):
    depth = len(inner_map)
    if any(len(line) != depth for line in outer):
        return None
    width = len(inner_map[0])
    combined = [[0] * width for _ in outer]
    for r, line in enumerate(outer):
        for c in range(width):
            for t in range(depth):
                combined[r][c] += line[t] * inner_map[t][c]
    return combined
