static String commonPrefix(List<String> names) {
    if (names.isEmpty()) {
        return "";
    }
    String first = names.get(0);
    for (int i = 0; i < first.length(); i++) {
        for (String name : names) {
            if (i >= name.length() || name.charAt(i) != first.charAt(i)) {
                return first.substring(0, i);
            }
        }
    }
    return first;
}
