import re


def glob_match(pattern, text):
    wildcards = {"*": ".*", "?": "."}
    expression = "".join(wildcards.get(char) or re.escape(char) for char in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None
