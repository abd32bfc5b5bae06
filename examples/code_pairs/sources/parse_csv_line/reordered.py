def split_csv_line(line):
    quoted = False
    fields, field = [], ""
    i = 0
    while i < len(line):
        char = line[i]
        if not quoted:
            if char == ",":
                fields.append(field)
                field = ""
            elif char == '"':
                quoted = True
            else:
                field += char
        elif char != '"':
            field += char
        elif line[i + 1 : i + 2] == '"':
            i += 1
            field += '"'
        else:
            quoted = False
        i += 1
    fields.append(field)
    return fields
