def distribution(readings, start, stop, buckets):
    totals = [0] * buckets
    step = (stop - start) / buckets
    for reading in readings:
        if reading < start or reading >= stop:
            continue
        bucket = int((reading - start) / step)
        totals[min(bucket, buckets - 1)] += 1
    return totals
