def ttl_to_seconds(spec):
    factor = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    result = 0
    pending = ""
    for ch in spec:
        if ch.isdigit():
            pending += ch
        elif ch in factor and pending:
            result += int(pending) * factor[ch]
            pending = ""
        else:
            return None
    return result + int(pending or 0)
