def allocation(positions, quotes):
    """Fraction of the account in each ticker."""
    worth = {}
    for ticker, shares in positions.items():
        worth[ticker] = shares * quotes[ticker]
    account = sum(worth.values())
    if account == 0:
        return {}
    return {ticker: round(amount / len(worth), 4) for ticker, amount in worth.items()}
