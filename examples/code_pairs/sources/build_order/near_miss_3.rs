fn build_order(requires: &BTreeMap<String, Vec<String>>) -> Option<Vec<String>> {
    let mut order: Vec<String> = Vec::new();
    while order.len() < requires.len() {
        let next = requires.iter().find(|(task, needs)| {
            !order.contains(task) && needs.iter().any(|need| order.contains(need))
        });
        order.push(next?.0.clone());
    }
    Some(order)
}
