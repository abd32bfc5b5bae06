def decode_runs(encoded):
    text = ""
    digits = ""
    for char in encoded:
        if char.isdigit():
            digits += char
        else:
            text += char * int(digits)
            digits = ""
    return text
