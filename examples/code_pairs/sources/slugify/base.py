import re


def slugify(title):
    """Turn a title into the last part of a URL."""
    lowered = title.lower()
    hyphenated = re.sub(r"[^a-z0-9]+", "-", lowered)
    return hyphenated.strip("-")
