from collections import deque


def accepted_requests(limit, window, times):
    recent = deque()
    accepted = []
    for now in times:
        while recent and recent[0] <= now - window:
            recent.popleft()
        if len(recent) < limit:
            recent.append(now)
            accepted.append(now)
    return accepted
