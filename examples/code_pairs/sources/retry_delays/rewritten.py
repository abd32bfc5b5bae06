from itertools import accumulate


def retry_delays(first, factor, cap, attempts, budget):
    waits = [min(first * factor**attempt, cap) for attempt in range(attempts)]
    affordable = sum(1 for total in accumulate(waits) if total <= budget)
    return waits[:affordable]
