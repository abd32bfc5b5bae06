def glob_match(pattern, text):
    if not pattern:
        return not text
    if pattern[0] == "*":
        return glob_match(pattern[1:], text) or (
            bool(text) and glob_match(pattern, text[1:])
        )
    if text and pattern[0] in ("?", text[0]):
        return glob_match(pattern[1:], text[1:])
    return False
