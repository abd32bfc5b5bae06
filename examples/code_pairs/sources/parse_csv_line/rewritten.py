import csv


def split_csv_line(line):
    if not line:
        return [""]
    return next(csv.reader([line], delimiter=",", quotechar='"', doublequote=True))
