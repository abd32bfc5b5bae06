def shortest_hops(graph, start, goal):
    visited = set()
    level = {start}
    hops = 0
    while level:
        if goal in level:
            return hops
        visited |= level
        level = {n for node in level for n in graph.get(node, ())} - visited
        hops += 1
    return -1
