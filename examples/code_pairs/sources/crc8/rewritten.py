def crc8(data):
    table = []
    for start in range(256):
        value = start
        for _ in range(8):
            value = (value << 1) ^ (0x107 if value & 0x80 else 0)
        table.append(value)
    state = 0
    for byte in data:
        state = table[state ^ byte]
    return state
