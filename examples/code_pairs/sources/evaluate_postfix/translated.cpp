long evaluate_postfix(const std::vector<std::string>& tokens) {
    std::vector<long> values;
    for (const auto& token : tokens) {
        if (token.size() > 1 || std::isdigit(static_cast<unsigned char>(token[0]))) {
            values.push_back(std::stol(token));
            continue;
        }
        long right = values.back();
        values.pop_back();
        long& left = values.back();
        switch (token[0]) {
            case '+': left += right; break;
            case '-': left -= right; break;
            case '*': left *= right; break;
            default: left /= right;
        }
    }
    return values.front();
}
