"""Orders of a small shop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Order:
    """What a customer has put in the basket."""

    customer: str
    prices: list[float]
    is_paid: bool = False

    def pay(self, amount: float) -> float:
        """Take the money and return the change."""
        total = sum(self.prices)
        if amount < total:
            raise ValueError(f"{total - amount:.2f} is missing")
        self.is_paid = True
        return amount - total


def total_with_discount(prices: list[float], percent: float) -> float:
    """The price of everything together, less a discount."""
    total = 0.0
    for price in prices:
        if price < 0:
            raise ValueError("a price below zero")
        total += price
    return round(total * (1 - percent / 100), 2)


def unpaid(orders: list[Order]) -> dict[str, int]:
    """How many orders each customer still has to pay."""
    counts: dict[str, int] = {}
    for order in orders:
        if not order.is_paid:
            counts[order.customer] = counts.get(order.customer, 0) + 1
    return counts
