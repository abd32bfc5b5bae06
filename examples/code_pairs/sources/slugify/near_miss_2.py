def slugify(title):
    words = []
    current = ""
    for char in title.lower():
        if "a" <= char <= "z" or "0" <= char <= "9":
            current += char
        elif current:
            words.append(current)
            current = ""
    return "-".join(words)
