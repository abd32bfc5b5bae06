def retry_delays(first, factor, cap, attempts, budget):
    spent, delay = 0, first
    delays = []
    for _ in range(attempts):
        wait = min(delay, cap)
        delay *= factor
        spent += wait
        if spent > budget:
            break
        delays.append(wait)
    return delays
