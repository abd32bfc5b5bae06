import heapq


def lowest_latency(wires, sender, receiver):
    adjacency = {}
    for tail, head, delay in wires:
        adjacency.setdefault(tail, []).append((head, delay))
    frontier = [(0, sender)]
    closed = set()
    while frontier:
        elapsed, router = heapq.heappop(frontier)
        if router == receiver:
            return elapsed
        if router in closed:
            continue
        closed.add(router)
        for head, delay in adjacency.get(router, []):
            if head not in closed:
                heapq.heappush(frontier, (elapsed + delay, head))
    return -1
