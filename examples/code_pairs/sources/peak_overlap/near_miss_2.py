import heapq


def peak_overlap(intervals):
    ends = []
    peak = 0
    for start, end in sorted(intervals):
        while ends and ends[0] < start:
            heapq.heappop(ends)
        heapq.heappush(ends, end)
        peak = max(peak, len(ends))
    return peak
