def best_trade(prices):
    profit = 0
    lowest = float("inf")
    for price in prices:
        if price < lowest:
            lowest = price
        else:
            profit += price - lowest
    return profit
