def has_cycle(edges):
    remaining = [tuple(edge) for edge in edges]
    while remaining:
        sources = {start for start, _ in remaining}
        kept = [(start, end) for start, end in remaining if end in sources]
        if len(kept) == len(remaining):
            return True
        remaining = kept
    return False
