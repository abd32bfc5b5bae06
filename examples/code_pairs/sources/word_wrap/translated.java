static List<String> wrapWords(String text, int width) {
    List<String> lines = new ArrayList<>();
    StringBuilder line = new StringBuilder();
    for (String word : text.trim().split("\\s+")) {
        if (word.isEmpty()) {
            continue;
        }
        if (line.length() == 0) {
            line.append(word);
        } else if (line.length() + 1 + word.length() <= width) {
            line.append(' ').append(word);
        } else {
            lines.add(line.toString());
            line = new StringBuilder(word);
        }
    }
    if (line.length() > 0) {
        lines.add(line.toString());
    }
    return lines;
}
