def is_balanced(source):
    stack = []
    closing = {"}": "{", "]": "[", ")": "("}
    for char in source:
        if char in closing:
            if not stack:
                return False
            if closing[char] != stack.pop():
                return False
        elif char in "{[(":
            stack.append(char)
    return len(stack) == 0
