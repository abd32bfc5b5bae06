def rotate_letters(text, shift):
    rotated = []
    for char in text:
        if "a" <= char <= "z":
            rotated.append(chr((ord(char) - ord("a") + shift) % 26 + ord("a")))
        elif "A" <= char <= "Z":
            rotated.append(chr((ord(char) - ord("A") + shift) % 26 + ord("a")))
        else:
            rotated.append(char)
    return "".join(rotated)
