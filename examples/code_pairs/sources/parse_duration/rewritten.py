import re


def parse_duration(text):
    if not re.fullmatch(r"(\d+[dhms])+", text):
        return None
    seconds = dict(zip("dhms", (86400, 3600, 60, 1)))
    return sum(int(n) * seconds[unit] for n, unit in re.findall(r"(\d+)([dhms])", text))
