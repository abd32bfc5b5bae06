def retry_delays(first, factor, cap, attempts, budget):
    delays = []
    delay = first
    spent = 0
    for _ in range(attempts):
        wait = min(delay, cap)
        if spent + wait > budget:
            break
        delays.append(wait)
        spent += wait
        delay *= factor
    return delays
