def shared_start(paths):
    if not paths:
        return ""
    stem = paths[0]
    for path in paths[1:]:
        while not path.startswith(stem):
            stem = stem[:-1]
    return stem
