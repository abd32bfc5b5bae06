import re


def decode_runs(encoded):
    pairs = re.findall(r"(\d)(\D)", encoded)
    return "".join(char * int(count) for count, char in pairs)
