def clean_location(raw):
    rooted = raw.startswith("/")
    segments = []
    for piece in raw.split("/"):
        if piece in ("", "."):
            continue
        if piece != "..":
            segments.append(piece)
        elif segments and segments[-1] != "..":
            segments.pop()
        elif not rooted:
            segments.append("..")
    text = "/".join(segments)
    return "/" + text if rooted else text
