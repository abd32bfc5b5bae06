def common_prefix(names):
    if not names:
        return ""
    low, high = min(names), max(names)
    length = 0
    while length < len(low) and length < len(high) and low[length] == high[length]:
        length += 1
    return low[:length]
