static boolean hasCycle(List<List<String>> edges) {
    Map<String, Integer> incoming = new HashMap<>();
    Map<String, List<String>> next = new HashMap<>();
    for (List<String> edge : edges) {
        incoming.putIfAbsent(edge.get(0), 0);
        incoming.merge(edge.get(1), 1, Integer::sum);
        next.computeIfAbsent(edge.get(0), key -> new ArrayList<>()).add(edge.get(1));
    }
    Deque<String> free = new ArrayDeque<>();
    incoming.forEach((node, count) -> {
        if (count == 0) {
            free.add(node);
        }
    });
    int removed = 0;
    while (!free.isEmpty()) {
        removed++;
        for (String end : next.getOrDefault(free.poll(), List.of())) {
            if (incoming.merge(end, -1, Integer::sum) == 0) {
                free.add(end);
            }
        }
    }
    return removed < incoming.size();
}
