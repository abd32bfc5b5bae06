def collapse_updates(log):
    index_of = {}
    final = []
    for name, state in log:
        if name in index_of:
            final[index_of[name]] = [name, state]
        else:
            index_of[name] = len(final)
            final.append([name, state])
    return final
