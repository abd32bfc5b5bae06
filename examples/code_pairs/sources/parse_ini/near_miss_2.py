def load_settings(contents):
    settings = {}
    heading = ""
    for entry in contents.splitlines():
        row = entry.strip()
        if not row or row[0] in "#;":
            continue
        if row.startswith("[") and row.endswith("]"):
            heading = row[1:-1]
            settings.setdefault(heading, {})
        elif "=" in row:
            option, setting = row.rsplit("=", 1)
            settings.setdefault(heading, {})[option.strip()] = setting.strip()
    return settings
