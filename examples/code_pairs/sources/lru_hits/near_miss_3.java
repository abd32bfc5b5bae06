static int lruHits(int capacity, List<String> requests) {
    Map<String, Integer> usedAt = new HashMap<>();
    int hits = 0;
    int clock = 0;
    for (String key : requests) {
        if (usedAt.containsKey(key)) {
            hits++;
        } else if (usedAt.size() == capacity) {
            String oldest = Collections.max(usedAt.entrySet(), Map.Entry.comparingByValue()).getKey();
            usedAt.remove(oldest);
        }
        usedAt.put(key, clock++);
    }
    return hits;
}
