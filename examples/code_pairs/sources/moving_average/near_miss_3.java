static double[] movingAverage(double[] prices, int window) {
    if (prices.length < window) {
        return new double[0];
    }
    double[] averages = new double[prices.length - window + 1];
    for (int start = 0; start < averages.length; start++) {
        double sum = 0;
        for (int i = start; i < start + window; i++) {
            sum += prices[i];
        }
        averages[start] = sum / (window - 1);
    }
    return averages;
}
