from urllib.parse import quote


def endpoint_with_filters(address, filters):
    encoded = []
    for name in sorted(filters):
        wanted = filters[name]
        if wanted is None:
            continue
        options = wanted if isinstance(wanted, list) else [wanted]
        encoded.extend(f"{quote(name, safe='')}={quote(str(o), safe='')}" for o in options)
    if not encoded:
        return address
    glue = "&" if "?" in address else "?"
    return address + glue + "&".join(encoded)
