import re
from collections import Counter


def most_common_words(text, limit):
    words = sorted(re.findall(r"[a-z]+", text.lower()))
    tally = Counter(words)
    ranking = []
    while tally and len(ranking) < limit:
        best = max(tally.values())
        winner = next(word for word in words if tally.get(word) == best)
        ranking.append((winner, tally.pop(winner)))
    return ranking
