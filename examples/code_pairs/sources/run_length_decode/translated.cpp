std::string decode_runs(const std::string& encoded) {
    std::string text;
    int count = 0;
    for (char c : encoded) {
        if (c >= '0' && c <= '9') {
            count = count * 10 + (c - '0');
        } else {
            text.append(count, c);
            count = 0;
        }
    }
    return text;
}
