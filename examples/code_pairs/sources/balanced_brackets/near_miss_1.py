def is_balanced(source):
    closing = {")": "(", "]": "[", "}": "{"}
    stack = []
    for char in source:
        if char in "([{":
            stack.append(char)
        elif char in closing:
            if not stack or stack.pop() != closing[char]:
                return False
    return True
