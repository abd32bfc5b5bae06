def pretty_bytes(amount):
    scaled = float(amount)
    for suffix in ("B", "KiB", "MiB", "GiB"):
        if scaled <= 1024:
            return f"{amount} B" if suffix == "B" else f"{scaled:.1f} {suffix}"
        scaled /= 1024
    return f"{scaled:.1f} TiB"
