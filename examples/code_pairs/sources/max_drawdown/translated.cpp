double max_drawdown(const std::vector<double>& values) {
    double worst = 0.0;
    for (size_t i = 0; i < values.size(); ++i) {
        for (size_t j = i + 1; j < values.size(); ++j) {
            double loss = (values[i] - values[j]) / values[i];
            worst = std::max(worst, loss);
        }
    }
    return worst;
}
