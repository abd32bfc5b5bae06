def smooth(samples, span):
    smoothed = []
    running = 0.0
    for pos, sample in enumerate(samples):
        running += sample
        if pos >= span:
            running -= samples[pos - span]
        if pos >= span - 1:
            smoothed.append(running / span)
    return smoothed
