def allowed_requests(capacity, rate, arrivals):
    decisions = []
    last, tokens = 0.0, float(capacity)
    for now in arrivals:
        gained = (now - last) * rate
        tokens = min(tokens + gained, capacity)
        passes = tokens >= 1
        decisions.append(passes)
        if passes:
            tokens -= 1
        last = now
    return decisions
