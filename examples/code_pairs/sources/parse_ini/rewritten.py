import re


def parse_ini(text):
    config = {}
    current = None
    for line in map(str.strip, text.splitlines()):
        if re.match(r"[#;]|$", line):
            continue
        if header := re.fullmatch(r"\[(.*)\]", line):
            current = config.setdefault(header[1], {})
        elif pair := re.fullmatch(r"([^=]*)=(.*)", line):
            if current is None:
                current = config.setdefault("", {})
            current[pair[1].rstrip()] = pair[2].lstrip()
    return config
