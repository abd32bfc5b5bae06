from urllib.parse import quote


def build_url(base, params):
    pairs = []
    for key in sorted(params):
        value = params[key]
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        pairs.extend(f"{quote(key, safe='')}={quote(str(v), safe='')}" for v in values)
    if not pairs:
        return base
    joiner = "&" if "?" in base else "?"
    return base + joiner + "&".join(pairs)
