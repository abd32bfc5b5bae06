def tokenise(expression):
    tokens = []
    i = 0
    while i < len(expression):
        char = expression[i]
        if char.isspace():
            i += 1
        elif char in "+-*/()":
            tokens.append(("op", char))
            i += 1
        elif char.isdigit():
            start = i
            while i < len(expression) and (expression[i].isdigit() or expression[i] == "."):
                i += 1
            tokens.append(("num", expression[start:i]))
        elif char.isalpha() or char == "_":
            start = i
            while i < len(expression) and (expression[i].isalnum() or expression[i] == "_"):
                i += 1
            tokens.append(("name", expression[start:i]))
        else:
            tokens.append(("bad", char))
            i += 1
    return tokens
