def matrix_product(a, b):
    inner = len(b)
    if any(len(row) != inner for row in a):
        return None
    columns = len(b[0])
    product = [[0] * columns for _ in a]
    for i, row in enumerate(a):
        for j in range(columns):
            for k in range(inner):
                product[i][j] += row[k] * b[j % inner][k % columns]
    return product
