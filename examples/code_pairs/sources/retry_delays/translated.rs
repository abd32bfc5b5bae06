fn retry_delays(first: u64, factor: u64, cap: u64, attempts: u32, budget: u64) -> Vec<u64> {
    let mut left = budget;
    let mut delays = Vec::new();
    for attempt in 0..attempts {
        let wait = cap.min(first * factor.pow(attempt));
        match left.checked_sub(wait) {
            Some(rest) => left = rest,
            None => return delays,
        }
        delays.push(wait);
    }
    delays
}
