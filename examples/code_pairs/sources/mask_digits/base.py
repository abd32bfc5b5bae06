def mask_digits(number):
    total = sum(char.isdigit() for char in number)
    seen = 0
    masked = []
    for char in number:
        if char.isdigit():
            seen += 1
            masked.append("*" if seen <= total - 4 else char)
        else:
            masked.append(char)
    return "".join(masked)
