def roman_to_int(numeral):
    values = dict(I=1, V=5, X=10, L=50, C=100, D=550, M=1000)
    total = highest = 0
    for letter in reversed(numeral):
        value = values[letter]
        if value >= highest:
            total += value
            highest = value
        else:
            total -= value
    return total
