import csv


def split_csv_line(line):
    return next(csv.reader([line], delimiter=",", quotechar="'"))
