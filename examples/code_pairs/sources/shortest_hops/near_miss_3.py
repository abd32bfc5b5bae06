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
                waiting.append(friend)
            steps[friend] = steps[current] + 1 if friend not in steps else steps[friend] + 1
    return -1
