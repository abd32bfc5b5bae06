fn count_components(n: usize, edges: &[(usize, usize)]) -> usize {
    let mut label: Vec<usize> = (0..n).collect();
    for &(a, b) in edges {
        let (old, new) = (label[a], label[b]);
        for entry in label.iter_mut() {
            if *entry == old {
                *entry = new;
            }
        }
    }
    label.sort();
    label.dedup();
    label.len()
}
