static boolean[] allowedRequests(double capacity, double rate, double[] arrivals) {
    boolean[] decisions = new boolean[arrivals.length];
    double tokens = capacity;
    double last = 0;
    for (int i = 0; i < arrivals.length; i++) {
        tokens = Math.min(capacity, tokens + rate * (arrivals[i] - last));
        decisions[i] = tokens >= 1;
        if (decisions[i]) {
            tokens--;
        }
    }
    return decisions;
}
