def count_components(n, edges):
    parent = list(range(n))

    def root(node):
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    groups = n
    for a, b in edges:
        root_a, root_b = root(a), root(b)
        if root_a != root_b:
            parent[root_a] = root_b
            groups -= 1
    return groups
