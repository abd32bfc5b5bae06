def luhn_valid(number):
    doubled = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    try:
        digits = [int(char) for char in number if char != " "][::-1]
    except ValueError:
        return False
    if len(digits) <= 1:
        return False
    checksum = sum(digits[::2]) + sum(doubled[digit] for digit in digits[1::2])
    return not checksum % 10
