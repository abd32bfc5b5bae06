fn encode_runs(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut encoded = String::new();
    let mut start = 0;
    while start < chars.len() {
        let mut end = start;
        while end < chars.len() && chars[end] == chars[start] {
            end += 1;
        }
        encoded.push_str(&format!("{}{}", end - start, chars[start]));
        start = end;
    }
    encoded
}
