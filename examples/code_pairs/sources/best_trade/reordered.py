def best_trade(prices):
    lowest = float("inf")
    profit = 0
    for price in prices:
        if price >= lowest:
            profit = max(profit, price - lowest)
            continue
        lowest = price
    return profit
