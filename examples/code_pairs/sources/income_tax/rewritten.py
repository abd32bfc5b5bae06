def income_tax(income, brackets):
    bounds = [0] + [upper for upper, _ in brackets]
    parts = []
    for (upper, percent), lower in zip(brackets, bounds):
        top = income if upper is None else min(income, upper)
        parts.append(max(0, top - lower) * percent)
    return sum(parts) / 100
