double income_tax(double income, const std::vector<std::pair<std::optional<double>, double>>& brackets) {
    double tax = 0.0;
    double lower = 0.0;
    for (const auto& [upper, percent] : brackets) {
        if (!upper || income <= *upper) {
            return tax + (income - lower) * percent / 100.0;
        }
        tax += (*upper - lower) * percent / 100.0;
        lower = *upper;
    }
    return tax;
}
