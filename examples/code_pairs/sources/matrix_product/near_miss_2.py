def matrix_product(a, b):
    if len(a[0]) != len(b):
        return None
    columns = list(zip(*b))
    return [[sum(x + y for x, y in zip(row, column)) for column in columns] for row in a]
