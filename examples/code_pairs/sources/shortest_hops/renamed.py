from collections import deque


def degrees_of_separation(follows, person, target):
    steps = {person: 0}
    waiting = deque([person])
    while waiting:
        current = waiting.popleft()
        if current == target:
            return steps[current]
        for friend in follows.get(current, []):
            if friend not in steps:
                steps[friend] = steps[current] + 1
                waiting.append(friend)
    return -1
