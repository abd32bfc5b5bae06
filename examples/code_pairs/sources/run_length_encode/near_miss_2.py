from itertools import groupby


def encode_runs(text):
    return "".join(f"{char}{len(list(run))}" for char, run in groupby(text))
