def evaluate_postfix(tokens):
    def value(position):
        token = tokens[position]
        if token.lstrip("-").isdigit():
            return int(token), position - 1
        right, position = value(position - 1)
        left, position = value(position)
        if token == "+":
            return left + right, position
        if token == "-":
            return left - right, position
        if token == "*":
            return left * right, position
        quotient = abs(left) // abs(right)
        return (quotient if left * right >= 0 else -quotient), position

    return value(len(tokens) - 1)[0]
