def normalise_path(path):
    absolute = path.startswith("/")
    kept = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            kept.append(part)
        elif kept and kept[-1] != "..":
            kept.pop()
        elif not absolute:
            kept.append("..")
    joined = "/".join(kept)
    return "/" + joined if absolute else joined or "."
