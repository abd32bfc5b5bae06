def collapse_updates(log):
    index_of = {}
    final = []
    for name, state in log:
        if name not in index_of:
            index_of[name] = len(final)
            final.append([name, state])
    return final
