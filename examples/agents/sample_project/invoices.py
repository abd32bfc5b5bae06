"""Invoices: written by somebody who had not seen orders.py, or had."""

from __future__ import annotations

from datetime import date, timedelta


def invoice_sum(amounts: list[float], rebate: float) -> float:
    """Everything on the invoice together, less a rebate."""
    result = 0.0
    for amount in amounts:
        if amount < 0:
            raise ValueError("an amount below zero")
        result += amount
    return round(result * (1 - rebate / 100), 2)


def due_date(written: date, days: int = 30) -> date:
    """The day until which an invoice is to be paid; weekends move it to Monday."""
    due = written + timedelta(days=days)
    while due.weekday() >= 5:
        due += timedelta(days=1)
    return due


def invoice_number(year: int, last: str | None) -> str:
    """The number after `last`, beginning again each year: 2024-0001."""
    if last is None or not last.startswith(f"{year}-"):
        return f"{year}-0001"
    return f"{year}-{int(last.rpartition('-')[2]) + 1:04d}"
