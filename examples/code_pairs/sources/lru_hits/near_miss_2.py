def lru_hits(capacity, requests):
    recent = []
    hits = 0
    for key in requests:
        if key in recent:
            hits += 1
            recent.remove(key)
        recent.insert(0, key)
        del recent[capacity + 1 :]
    return hits
