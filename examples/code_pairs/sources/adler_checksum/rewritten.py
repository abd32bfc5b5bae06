def adler_checksum(text):
    data = text.encode("ascii")
    size = len(data)
    low = (1 + sum(data)) % 65521
    high = (size + sum((size - i) * byte for i, byte in enumerate(data))) % 65521
    return (high << 16) | low
