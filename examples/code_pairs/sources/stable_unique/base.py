def latest_records(records):
    position = {}
    kept = []
    for key, value in records:
        if key in position:
            kept[position[key]] = [key, value]
        else:
            position[key] = len(kept)
            kept.append([key, value])
    return kept
