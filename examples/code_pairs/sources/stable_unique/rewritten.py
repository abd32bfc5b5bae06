def latest_records(records):
    return [list(item) for item in dict(map(tuple, records)).items()]
