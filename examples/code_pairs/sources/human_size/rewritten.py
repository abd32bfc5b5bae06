def human_size(size):
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    power = min(max(size.bit_length() - 1, 0) // 10, 4)
    if power == 0:
        return str(size) + " B"
    return "%.1f %s" % (size / (1 << (10 * power)), units[power])
