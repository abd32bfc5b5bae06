def luhn_valid(number):
    total = 0
    digits = number.replace(" ", "")
    if not digits.isdigit() or len(digits) < 2:
        return False
    for position, digit in enumerate(map(int, reversed(digits))):
        if position % 2 == 0:
            total += digit
            continue
        digit += digit
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0
