def format_duration(seconds):
    shown = ""
    for size, unit in ((3600, "h"), (60, "m"), (1, "s")):
        amount = seconds // size
        seconds -= amount * size
        if amount > 0:
            shown += f" {amount}{unit}"
    return shown.lstrip() or "0s"
