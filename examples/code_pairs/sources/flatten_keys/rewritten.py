def flatten_keys(tree):
    flat = {}
    stack = [((), tree)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict):
            stack.extend(((*path, key), child) for key, child in node.items())
        else:
            flat[".".join(path)] = node
    return flat
