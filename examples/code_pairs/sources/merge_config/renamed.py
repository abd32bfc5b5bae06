def apply_patch(document, patch):
    patched = dict(document)
    for field, change in patch.items():
        if change is None:
            patched.pop(field, None)
        elif isinstance(change, dict) and isinstance(patched.get(field), dict):
            patched[field] = apply_patch(patched[field], change)
        else:
            patched[field] = change
    return patched
