def frame_check(payload):
    register = 0
    for octet in payload:
        register ^= octet
        for _ in range(8):
            if register & 0x80:
                register = ((register << 1) ^ 0x07) & 0xFF
            else:
                register = (register << 1) & 0xFF
    return register
