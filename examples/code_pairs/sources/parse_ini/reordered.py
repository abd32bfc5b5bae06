def parse_ini(text):
    section = ""
    config = {}
    for line in map(str.strip, text.splitlines()):
        if not line:
            continue
        is_comment = line[0] in ";#"
        is_header = line.endswith("]") and line.startswith("[")
        if is_header and not is_comment:
            section = line[1:-1]
            config.setdefault(section, {})
        elif not is_comment and "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            config.setdefault(section, {})[key] = value
    return config
