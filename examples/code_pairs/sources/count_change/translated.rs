fn fewest_coins(amount: usize, coins: &[usize]) -> i64 {
    fn search(rest: usize, coins: &[usize], seen: &mut Vec<Option<Option<i64>>>) -> Option<i64> {
        if rest == 0 {
            return Some(0);
        }
        if let Some(known) = seen[rest] {
            return known;
        }
        let answer = coins
            .iter()
            .filter(|&&coin| coin <= rest)
            .filter_map(|&coin| search(rest - coin, coins, seen))
            .min()
            .map(|fewest| fewest + 1);
        seen[rest] = Some(answer);
        answer
    }
    search(amount, coins, &mut vec![None; amount + 1]).unwrap_or(-1)
}
