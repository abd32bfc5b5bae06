static int fewestCoins(int amount, int[] coins) {
    int[] best = new int[amount + 1];
    Arrays.fill(best, Integer.MAX_VALUE);
    best[0] = 0;
    for (int coin : coins) {
        for (int total = amount; total >= coin; total--) {
            if (best[total - coin] != Integer.MAX_VALUE) {
                best[total] = Math.min(best[total], best[total - coin] + 1);
            }
        }
    }
    return best[amount] == Integer.MAX_VALUE ? -1 : best[amount];
}
