static List<String> splitCsvLine(String line) {
    List<String> fields = new ArrayList<>();
    StringBuilder field = new StringBuilder();
    boolean quoted = false;
    for (int i = 0; i < line.length(); i++) {
        char c = line.charAt(i);
        if (quoted && c == '"') {
            if (i + 1 < line.length() && line.charAt(i + 1) == '"') {
                field.append('"');
                i++;
            } else {
                quoted = false;
            }
        } else if (!quoted && c == '"') {
            quoted = true;
        } else if (!quoted && c == ',') {
            fields.add(field.toString());
            field.setLength(0);
        } else {
            field.append(c);
        }
    }
    fields.add(field.toString());
    return fields;
}
