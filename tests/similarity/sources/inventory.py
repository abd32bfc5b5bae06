"""A small shelf, as people write it."""

from __future__ import annotations

import functools


def cached(function):
    @functools.wraps(function)
    def inner(*words):
        return function(*words)

    return inner


@functools.total_ordering
class Shelf:
    def __init__(self, items):
        self.items = items

    @property
    def weight(self):
        return sum(item.weight for item in self.items)

    async def refill(self, source):
        async for item in source:
            self.items.append(item)
