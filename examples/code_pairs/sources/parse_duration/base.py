def parse_duration(text):
    """Seconds of a text like 1h30m; None when it cannot be read."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    total = 0
    digits = ""
    for char in text:
        if char.isdigit():
            digits += char
        elif char in units and digits:
            total += int(digits) * units[char]
            digits = ""
        else:
            return None
    if digits or not text:
        return None
    return total
