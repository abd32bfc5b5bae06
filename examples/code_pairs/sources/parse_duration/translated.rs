fn parse_duration(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut total = 0;
    let mut pending: Option<u64> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            pending = Some(pending.unwrap_or(0) * 10 + u64::from(digit));
            continue;
        }
        let factor = match c {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total += pending.take()? * factor;
    }
    if pending.is_some() {
        return None;
    }
    Some(total)
}
