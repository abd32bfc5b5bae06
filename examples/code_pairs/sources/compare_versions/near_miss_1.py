def compare_versions(a, b):
    left = a.split(".")
    right = b.split(".")
    width = max(len(left), len(right))
    left += ["0"] * (width - len(left))
    right += ["0"] * (width - len(right))
    if left == right:
        return 0
    return 1 if left > right else -1
