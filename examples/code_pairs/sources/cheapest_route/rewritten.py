def cheapest_route(links, source, target):
    best = {source: 0}
    for _ in range(len(links)):
        changed = False
        for start, end, cost in links:
            if start in best and best[start] + cost < best.get(end, float("inf")):
                best[end] = best[start] + cost
                changed = True
        if not changed:
            break
    return best.get(target, -1)
