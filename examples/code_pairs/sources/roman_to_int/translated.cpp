int roman_to_int(const std::string& numeral) {
    auto value = [](char c) {
        switch (c) {
            case 'I': return 1;
            case 'V': return 5;
            case 'X': return 10;
            case 'L': return 50;
            case 'C': return 100;
            case 'D': return 500;
            default: return 1000;
        }
    };
    int total = 0;
    for (size_t i = 0; i < numeral.size(); ++i) {
        bool subtract = i + 1 < numeral.size() && value(numeral[i]) < value(numeral[i + 1]);
        total += subtract ? -value(numeral[i]) : value(numeral[i]);
    }
    return total;
}
