def parse_ini(text):
    config = {}
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            config[section] = {}
        elif "=" in line:
            key, value = line.split("=", 1)
            config.setdefault(section, {})[key.strip()] = value.strip()
    return config
