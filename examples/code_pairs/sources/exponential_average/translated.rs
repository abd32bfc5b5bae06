fn exponential_average(prices: &[f64], span: u32) -> Vec<f64> {
    let alpha = 2.0 / (f64::from(span) + 1.0);
    let mut averages: Vec<f64> = Vec::with_capacity(prices.len());
    for &price in prices {
        let next = match averages.last() {
            Some(previous) => alpha * price + (1.0 - alpha) * previous,
            None => price,
        };
        averages.push(next);
    }
    averages
}
