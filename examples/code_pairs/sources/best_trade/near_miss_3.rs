fn best_trade(prices: &[i64]) -> i64 {
    let mut best = 0;
    for (day, buy) in prices.iter().enumerate() {
        for sell in &prices[day + 1..] {
            best = best.max((sell - buy).abs());
        }
    }
    best
}
