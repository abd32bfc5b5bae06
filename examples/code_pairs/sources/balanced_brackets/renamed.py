def delimiters_match(expr):
    opener_of = {")": "(", "]": "[", "}": "{"}
    pending = []
    for symbol in expr:
        if symbol in "([{":
            pending.append(symbol)
        elif symbol in opener_of:
            if not pending or pending.pop() != opener_of[symbol]:
                return False
    return not pending
