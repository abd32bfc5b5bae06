from collections import OrderedDict


def lru_hits(capacity, requests):
    cache = OrderedDict()
    hits = 0
    for key in requests:
        if key in cache:
            hits += 1
            continue
        if len(cache) >= capacity:
            cache.popitem(last=False)
        cache[key] = True
    return hits
