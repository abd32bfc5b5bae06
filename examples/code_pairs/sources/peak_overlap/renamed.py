def rooms_needed(meetings):
    moments = []
    for begins, finishes in meetings:
        moments.append((begins, 1))
        moments.append((finishes, -1))
    moments.sort()
    running = most = 0
    for _, step in moments:
        running += step
        most = max(most, running)
    return most
