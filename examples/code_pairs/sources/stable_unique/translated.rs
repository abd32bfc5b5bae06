fn latest_records(records: &[(String, i64)]) -> Vec<(String, i64)> {
    let mut kept: Vec<(String, i64)> = Vec::new();
    for (key, value) in records {
        match kept.iter_mut().find(|(known, _)| known == key) {
            Some(entry) => entry.1 = *value,
            None => kept.push((key.clone(), *value)),
        }
    }
    kept
}
