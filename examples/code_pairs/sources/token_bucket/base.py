def allowed_requests(capacity, rate, arrivals):
    tokens = float(capacity)
    last = 0.0
    decisions = []
    for now in arrivals:
        tokens = min(capacity, tokens + (now - last) * rate)
        last = now
        if tokens >= 1:
            tokens -= 1
            decisions.append(True)
        else:
            decisions.append(False)
    return decisions
