def evaluate_postfix(tokens):
    stack = []
    for token in tokens:
        if token in ("/", "*", "-", "+"):
            right, left = stack.pop(), stack.pop()
            if token == "/":
                stack.append(int(left / right))
            elif token == "*":
                stack.append(left * right)
            elif token == "-":
                stack.append(left - right)
            else:
                stack.append(left + right)
        else:
            stack.append(int(token))
    return stack[0]
