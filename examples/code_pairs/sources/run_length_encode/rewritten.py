from itertools import groupby


def encode_runs(text):
    return "".join(f"{len(list(run))}{char}" for char, run in groupby(text))
