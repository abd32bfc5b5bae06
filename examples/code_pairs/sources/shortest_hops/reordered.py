from collections import deque


def shortest_hops(graph, start, goal):
    if start == goal:
        return 0
    queue = deque([start])
    distance = {start: 0}
    while queue:
        node = queue.popleft()
        hops = distance[node] + 1
        for neighbour in graph.get(node, []):
            if neighbour in distance:
                continue
            if neighbour == goal:
                return hops
            queue.append(neighbour)
            distance[neighbour] = hops
    return -1
