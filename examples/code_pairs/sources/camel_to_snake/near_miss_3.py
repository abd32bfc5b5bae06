def column_name(attribute):
    pieces = []
    for pos, letter in enumerate(attribute):
        if letter.isupper() and pos > 0:
            follows_small = attribute[pos - 1].islower() or attribute[pos - 1].isdigit()
            precedes_small = pos + 1 < len(attribute) and attribute[pos + 1].islower()
            if follows_small or (precedes_small and attribute[pos - 1] != "_"):
                pieces.append("_")
        pieces.append(letter)
    return "".join(pieces)
