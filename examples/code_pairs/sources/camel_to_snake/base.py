def camel_to_snake(name):
    out = []
    for i, char in enumerate(name):
        if char.isupper() and i > 0:
            after_lower = name[i - 1].islower() or name[i - 1].isdigit()
            before_lower = i + 1 < len(name) and name[i + 1].islower()
            if after_lower or (before_lower and name[i - 1] != "_"):
                out.append("_")
        out.append(char.lower())
    return "".join(out)
