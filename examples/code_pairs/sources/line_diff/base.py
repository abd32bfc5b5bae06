def line_diff(old, new):
    n, m = len(old), len(new)
    common = [[0] * (m + 1) for _ in range(n + 1)]
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            if old[i] == new[j]:
                common[i][j] = common[i + 1][j + 1] + 1
            else:
                common[i][j] = max(common[i + 1][j], common[i][j + 1])
    i = j = 0
    output = []
    while i < n or j < m:
        if i < n and j < m and old[i] == new[j]:
            output.append("  " + old[i])
            i, j = i + 1, j + 1
        elif j == m or (i < n and common[i + 1][j] >= common[i][j + 1]):
            output.append("- " + old[i])
            i += 1
        else:
            output.append("+ " + new[j])
            j += 1
    return output
