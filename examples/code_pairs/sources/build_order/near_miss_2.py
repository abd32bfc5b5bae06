def build_order(requires):
    order = []
    waiting = sorted(requires)
    while waiting:
        for task in waiting:
            if all(need in order for need in requires[task]):
                break
        else:
            return None
        waiting.remove(task)
        order.insert(0, task)
    return order
