import re


def make_permalink(headline):
    small = headline.lower()
    dashed = re.sub(r"[^a-z0-9]+", "-", small)
    return dashed.strip("-")
