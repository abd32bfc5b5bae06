import heapq


def cheapest_route(links, source, target):
    network = {}
    for start, end, cost in links:
        network.setdefault(start, []).append((end, cost))
    heap = [(0, source)]
    settled = set()
    while heap:
        spent, station = heapq.heappop(heap)
        if station == target:
            return spent
        if station in settled:
            continue
        settled.add(station)
        for end, cost in network.get(station, []):
            if end not in settled:
                heapq.heappush(heap, (spent + 1, end))
    return -1
