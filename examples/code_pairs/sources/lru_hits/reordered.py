from collections import OrderedDict


def lru_hits(capacity, requests):
    hits = 0
    cache = OrderedDict()
    for key in requests:
        if key not in cache:
            cache[key] = True
            if len(cache) > capacity:
                cache.popitem(last=False)
        else:
            cache.move_to_end(key)
            hits += 1
    return hits
