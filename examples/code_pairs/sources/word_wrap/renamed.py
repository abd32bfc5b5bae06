def break_into_rows(paragraph, columns):
    rows = []
    row = ""
    for token in paragraph.split():
        if not row:
            row = token
        elif len(row) + 1 + len(token) <= columns:
            row += " " + token
        else:
            rows.append(row)
            row = token
    if row:
        rows.append(row)
    return rows
