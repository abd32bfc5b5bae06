def merge_config(base, override):
    result = {}
    todo = [(result, base, override)]
    while todo:
        target, low, high = todo.pop()
        for key in [*low, *(k for k in high if k not in low)]:
            chosen = high[key] if key in high else low[key]
            if key in high and chosen is None:
                continue
            if isinstance(chosen, dict) and isinstance(low.get(key), dict) and key in high:
                target[key] = {}
                todo.append((target[key], low[key], chosen))
            else:
                target[key] = chosen
    return result
