def mask_digits(number):
    chars = list(number)
    shown = 0
    for position in reversed(range(len(chars))):
        if shown < 4:
            shown += 1
        else:
            chars[position] = "*"
    return "".join(chars)
