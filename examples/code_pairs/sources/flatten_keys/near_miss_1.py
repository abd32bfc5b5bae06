def flatten_keys(tree, prefix=""):
    flat = {}
    for key, value in tree.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            flat.update(flatten_keys(value, key))
        else:
            flat[path] = value
    return flat
