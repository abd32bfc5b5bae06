import math


def volatility(returns):
    periods = len(returns)
    if periods < 2:
        return 0.0
    centre = sum(returns) / periods
    energy = sum((r - centre) ** 2 for r in returns)
    return math.sqrt(energy / (periods - 1))
