def accepted_requests(limit, window, times):
    accepted = []
    for now in times:
        if len(accepted) < limit or now - accepted[-limit] >= window:
            accepted.append(now)
    return accepted
