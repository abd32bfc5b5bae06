fn covered_length(intervals: &[(i64, i64)]) -> i64 {
    let mut sorted = intervals.to_vec();
    sorted.sort_unstable();
    let mut reached = i64::MIN;
    let mut covered = 0;
    for (start, end) in sorted {
        let from = start.max(reached);
        if end > from {
            covered += end - from;
            reached = end;
        }
    }
    covered
}
