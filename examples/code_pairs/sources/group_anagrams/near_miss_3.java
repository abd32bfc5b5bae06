static List<List<String>> groupAnagrams(List<String> words) {
    Map<String, List<String>> groups = new LinkedHashMap<>();
    for (String word : words) {
        char[] letters = word.toCharArray();
        Arrays.sort(letters);
        groups.computeIfAbsent(new String(letters), key -> new ArrayList<>()).add(0, word);
    }
    return new ArrayList<>(groups.values());
}
