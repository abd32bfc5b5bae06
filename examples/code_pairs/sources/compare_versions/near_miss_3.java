static int compareVersions(String a, String b) {
    String[] left = a.split("\\.");
    String[] right = b.split("\\.");
    for (int i = 0; i < Math.min(left.length, right.length); i++) {
        int x = i < left.length ? Integer.parseInt(left[i]) : 0;
        int y = i < right.length ? Integer.parseInt(right[i]) : 0;
        if (x != y) {
            return Integer.compare(x, y);
        }
    }
    return 0;
}
