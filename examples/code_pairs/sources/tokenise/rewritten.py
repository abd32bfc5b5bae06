import re

TOKEN = re.compile(
    r"(?P<num>\d[\d.]*)|(?P<name>[A-Za-z_]\w*)|(?P<op>[-+*/()])|(?P<blank>\s)|(?P<bad>.)"
)


def tokenise(expression):
    found = ((m.lastgroup, m.group()) for m in TOKEN.finditer(expression))
    return [(kind, text) for kind, text in found if kind != "blank"]
