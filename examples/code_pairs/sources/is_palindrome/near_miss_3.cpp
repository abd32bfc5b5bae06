bool is_palindrome(const std::string& text) {
    std::string kept;
    for (unsigned char c : text) {
        if (!std::isspace(c)) {
            kept.push_back(static_cast<char>(std::tolower(c)));
        }
    }
    return std::equal(kept.begin(), kept.begin() + kept.size() / 2, kept.rbegin());
}
