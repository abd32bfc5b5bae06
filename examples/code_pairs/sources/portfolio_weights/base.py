def portfolio_weights(holdings, prices):
    """Share of each symbol in the market value."""
    values = {}
    for symbol, quantity in holdings.items():
        values[symbol] = quantity * prices[symbol]
    total = sum(values.values())
    if total == 0:
        return {}
    return {symbol: round(value / total, 4) for symbol, value in values.items()}
