fn median_filter(values: &[f64], size: usize) -> Vec<f64> {
    let half = size / 2;
    (0..values.len())
        .map(|i| {
            let end = (i + half).min(values.len());
            let mut window = values[i.saturating_sub(half)..end].to_vec();
            window.sort_by(|a, b| a.total_cmp(b));
            let middle = window.len() / 2;
            if window.len() % 2 == 1 {
                window[middle]
            } else {
                (window[middle - 1] + window[middle]) / 2.0
            }
        })
        .collect()
}
