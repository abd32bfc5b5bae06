from functools import lru_cache


def line_diff(old, new):
    @lru_cache(maxsize=None)
    def best(i, j):
        """Kept lines and diff of the rest from i and j."""
        if i == len(old) and j == len(new):
            return 0, ()
        if i < len(old) and j < len(new) and old[i] == new[j]:
            kept, rest = best(i + 1, j + 1)
            return kept + 1, ("  " + old[i], *rest)
        options = []
        if i < len(old):
            kept, rest = best(i + 1, j)
            options.append((kept, ("- " + old[i], *rest)))
        if j < len(new):
            kept, rest = best(i, j + 1)
            options.append((kept, ("+ " + new[j], *rest)))
        return max(options, key=lambda option: option[0])

    return list(best(0, 0)[1])
