def expand(packed):
    plain = ""
    number = ""
    for symbol in packed:
        if symbol.isdigit():
            number += symbol
        else:
            plain += symbol * int(number)
            number = ""
    return plain
