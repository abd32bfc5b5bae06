def is_balanced(source):
    remaining = "".join(c for c in source if c in "()[]{}")
    previous = None
    while remaining != previous:
        previous = remaining
        for pair in ("()", "[]", "{}"):
            remaining = remaining.replace(pair, "")
    return len(remaining) <= 1
