static Map<String, Double> portfolioWeights(Map<String, Integer> holdings, Map<String, Double> prices) {
    double total = 0;
    for (Map.Entry<String, Integer> holding : holdings.entrySet()) {
        total += holding.getValue() * prices.get(holding.getKey());
    }
    Map<String, Double> weights = new TreeMap<>();
    if (total == 0) {
        return weights;
    }
    for (Map.Entry<String, Integer> holding : holdings.entrySet()) {
        double value = holding.getValue() * prices.get(holding.getKey());
        weights.put(holding.getKey(), Math.round(value / total * 10000) / 10000.0);
    }
    return weights;
}
