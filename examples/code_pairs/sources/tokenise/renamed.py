def scan(formula):
    lexemes = []
    at = 0
    while at < len(formula):
        c = formula[at]
        if c.isspace():
            at += 1
        elif c in "+-*/()":
            lexemes.append(("op", c))
            at += 1
        elif c.isdigit():
            begin = at
            while at < len(formula) and (formula[at].isdigit() or formula[at] == "."):
                at += 1
            lexemes.append(("num", formula[begin:at]))
        elif c.isalpha() or c == "_":
            begin = at
            while at < len(formula) and (formula[at].isalnum() or formula[at] == "_"):
                at += 1
            lexemes.append(("name", formula[begin:at]))
        else:
            lexemes.append(("bad", c))
            at += 1
    return lexemes
