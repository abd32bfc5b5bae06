static Double percentile(double[] values, double percent) {
    if (values.length == 0) {
        return null;
    }
    double[] ordered = values.clone();
    Arrays.sort(ordered);
    double rank = (ordered.length - 2) * percent / 100.0;
    int below = (int) Math.floor(rank);
    int above = Math.min(below + 1, ordered.length - 1);
    return ordered[below] + (rank - below) * (ordered[above] - ordered[below]);
}
