import heapq


def build_order(requires):
    missing = {task: set(needs) for task, needs in requires.items()}
    ready = [task for task, needs in missing.items() if not needs]
    heapq.heapify(ready)
    order = []
    while ready:
        task = heapq.heappop(ready)
        order.append(task)
        for other, needs in missing.items():
            if task in needs:
                needs.remove(task)
                if not needs:
                    heapq.heappush(ready, other)
    return order
