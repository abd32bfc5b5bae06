from collections import deque


def accepted_requests(limit, window, times):
    accepted, recent = [], deque()
    for now in times:
        oldest = now - window
        while recent and oldest >= recent[0]:
            recent.popleft()
        if len(recent) >= limit:
            continue
        accepted.append(now)
        recent.append(now)
    return accepted
