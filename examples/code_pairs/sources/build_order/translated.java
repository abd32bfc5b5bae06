static List<String> buildOrder(Map<String, List<String>> requires) {
    Map<String, Integer> open = new HashMap<>();
    PriorityQueue<String> ready = new PriorityQueue<>();
    requires.forEach((task, needs) -> {
        open.put(task, needs.size());
        if (needs.isEmpty()) {
            ready.add(task);
        }
    });
    List<String> order = new ArrayList<>();
    while (!ready.isEmpty()) {
        String done = ready.poll();
        order.add(done);
        for (Map.Entry<String, List<String>> entry : requires.entrySet()) {
            if (entry.getValue().contains(done) && open.merge(entry.getKey(), -1, Integer::sum) == 0) {
                ready.add(entry.getKey());
            }
        }
    }
    return order.size() == requires.size() ? order : null;
}
