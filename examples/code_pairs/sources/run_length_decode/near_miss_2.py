def expand(packed):
    plain = ""
    number = ""
    for symbol in packed:
        if symbol.isdigit():
            number += symbol
        else:
            plain += symbol * (int(number) + 1)
            number = ""
    return plain
