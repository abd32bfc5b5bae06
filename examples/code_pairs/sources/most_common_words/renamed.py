import re


def top_terms(document, how_many):
    frequency = {}
    for term in re.findall(r"[a-z]+", document.lower()):
        frequency[term] = frequency.get(term, 0) + 1
    ordered = sorted(frequency.items(), key=lambda entry: (-entry[1], entry[0]))
    return ordered[:how_many]
