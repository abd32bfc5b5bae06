def roman_to_int(numeral):
    total = 0
    values = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}
    last = len(numeral) - 1
    for i, letter in enumerate(numeral):
        if i == last or values[numeral[i + 1]] <= values[letter]:
            total += values[letter]
        else:
            total -= values[letter]
    return total
