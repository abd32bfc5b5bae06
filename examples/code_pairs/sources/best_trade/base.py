def best_trade(prices):
    profit = 0
    lowest = float("inf")
    for price in prices:
        if price < lowest:
            lowest = price
        elif price - lowest > profit:
            profit = price - lowest
    return profit
