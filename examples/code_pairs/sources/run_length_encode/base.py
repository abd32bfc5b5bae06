def encode_runs(text):
    if not text:
        return ""
    encoded = []
    count = 1
    for previous, char in zip(text, text[1:]):
        if char == previous:
            count += 1
        else:
            encoded.append(f"{count}{previous}")
            count = 1
    encoded.append(f"{count}{text[-1]}")
    return "".join(encoded)
