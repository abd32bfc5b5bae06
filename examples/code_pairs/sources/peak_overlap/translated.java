static int peakOverlap(int[][] intervals) {
    int[] starts = Arrays.stream(intervals).mapToInt(pair -> pair[0]).sorted().toArray();
    int[] ends = Arrays.stream(intervals).mapToInt(pair -> pair[1]).sorted().toArray();
    int peak = 0;
    int finished = 0;
    for (int begun = 0; begun < starts.length; begun++) {
        while (ends[finished] <= starts[begun]) {
            finished++;
        }
        peak = Math.max(peak, begun + 1 - finished);
    }
    return peak;
}
