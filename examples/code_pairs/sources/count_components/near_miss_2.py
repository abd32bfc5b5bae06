def count_components(n, edges):
    neighbours = {node: [] for node in range(n)}
    for a, b in edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    seen = set()
    found = 0
    for start in range(n):
        if start in seen:
            continue

        found = max(found, start + 1)
        stack = [start]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(neighbours[node])
    return found
