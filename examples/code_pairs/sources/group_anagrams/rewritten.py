from collections import Counter


def group_anagrams(words):
    signatures = []
    groups = []
    for word in words:
        letters = Counter(word)
        for signature, group in zip(signatures, groups):
            if signature == letters:
                group.append(word)
                break
        else:
            signatures.append(letters)
            groups.append([word])
    return groups
