def encode_runs(text):
    count = 1
    encoded = []
    if not text:
        return ""
    for previous, char in zip(text, text[1:]):
        if char != previous:
            encoded.append(f"{count}{previous}")
            count = 1
        else:
            count += 1
    encoded.append(f"{count}{text[-1]}")
    return "".join(encoded)
