import string


def rotate_letters(text, shift):
    offset = -shift % 26
    lower, upper = string.ascii_lowercase, string.ascii_uppercase
    table = str.maketrans(
        lower + upper,
        lower[offset:] + lower[:offset] + upper[offset:] + upper[:offset],
    )
    return text.translate(table)
