def reconnect_schedule(initial, growth, ceiling, tries, patience):
    schedule = []
    pause = initial
    total = 0
    for _ in range(tries):
        step = min(pause, ceiling)
        if total + step > patience:
            break
        schedule.append(step)
        total += step
        pause *= growth
    return schedule
