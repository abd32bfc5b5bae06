def compare_versions(a, b):
    for x, y in zip(a.split("."), b.split(".")):
        difference = int(x) - int(y)
        if difference < 0:
            return -1
        if difference > 0:
            return 1
    return 0
