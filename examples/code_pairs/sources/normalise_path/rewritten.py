import posixpath


def normalise_path(path):
    normal = posixpath.normpath(path)
    return normal[1:] if normal.startswith("//") else normal
