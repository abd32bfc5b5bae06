def group_anagrams(words):
    groups = {}
    for word in words:
        key = "".join(sorted(set(word)))
        groups.setdefault(key, []).append(word)
    return list(groups.values())
