def allowed_requests(capacity, rate, arrivals):
    level = 0.0
    previous = arrivals[0] if arrivals else 0
    decisions = []
    for now in arrivals:
        level = max(0.0, level - (now - previous) * rate)
        previous = now
        passes = level + 1 <= capacity
        level += 1 if passes else 0
        decisions.append(passes)
    return decisions
