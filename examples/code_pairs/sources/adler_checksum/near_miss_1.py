def adler_checksum(text):
    low, high = 0, 0
    for byte in text.encode("ascii"):
        low = (low + byte) % 65521
        high = (high + low) % 65521
    return high * 65536 + low
