"""Which rows go through an embedding model together. Pure: no torch, no threads.

Rows of all requests under way are kept by length. Requests take turns: each batch begins with
the longest row of the request whose turn it is and is filled with rows of about the same length,
whoever's they are. So a request of thousands of rows holds up nobody, and little is padded.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

# Padding is computed like any token. A batch of its own costs about as much as so many tokens.
BATCH_COST_TOKENS = 32
MAX_PADDED_SHARE = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Token ids to embed, the `position`-th row of the request `owner`."""

    owner: int
    position: int
    token_ids: tuple[int, ...]


class Batcher:
    """The rows that wait; `budget_tokens` is how many a batch has, padding included.

    A row that is longer by itself is a batch of its own.
    """

    def __init__(self, budget_tokens: int) -> None:
        self._budget_tokens = budget_tokens
        # Sorted by length; the number keeps equal lengths in the order of their coming.
        self._waiting: list[tuple[int, int, Row]] = []
        self._turns: deque[int] = deque()
        self._rows: dict[int, deque[tuple[int, int, Row]]] = {}
        self._taken: set[int] = set()
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, owner: int, rows: Sequence[tuple[int, ...]]) -> None:
        """Let the rows of a request wait; its turn is the last."""
        found = []
        for position, token_ids in enumerate(rows):
            self._number += 1
            row = Row(owner=owner, position=position, token_ids=token_ids)
            found.append((len(token_ids), self._number, row))
        # Its longest rows first: batches then follow one another by length and leave no gaps.
        entries = deque(sorted(found, key=_order, reverse=True))
        for entry in entries:
            insort(self._waiting, entry, key=_order)
        if entries:
            self._rows[owner] = entries
            self._turns.append(owner)

    def drop(self, owner: int) -> None:
        """Forget a request."""
        entries = self._rows.pop(owner, None)
        if entries is not None:
            self._taken.difference_update(number for _, number, _row in entries)
            self._turns.remove(owner)
            self._waiting = [entry for entry in self._waiting if entry[2].owner != owner]

    def next_batch(self) -> list[Row]:
        """The rows that are next, shortest first; none where none waits."""
        seed = self._next_seed()
        if seed is None:
            return []
        first = last = bisect_left(self._waiting, _order(seed), key=_order)
        real_tokens = seed[0]
        while True:
            grown = self._grown(first, last, real_tokens)
            if grown is None:
                break
            first, last, real_tokens = grown
        batch = self._waiting[first : last + 1]
        del self._waiting[first : last + 1]
        for _, number, _row in batch:
            if number != seed[1]:
                self._taken.add(number)
        self._forget_ended({row.owner for _, _, row in batch})
        return [row for _, _, row in batch]

    def _next_seed(self) -> tuple[int, int, Row] | None:
        if not self._turns:
            return None
        owner = self._turns.popleft()
        entries = self._rows[owner]
        self._skip_taken(entries)
        seed = entries.popleft()
        self._turns.append(owner)
        return seed

    def _skip_taken(self, entries: deque[tuple[int, int, Row]]) -> None:
        while entries and entries[0][1] in self._taken:
            self._taken.discard(entries.popleft()[1])

    def _grown(self, first: int, last: int, real_tokens: int) -> tuple[int, int, int] | None:
        """The range with one more neighbour, the nearer in length; None where it is full."""
        longest = self._waiting[last][0]
        steps = []
        if first > 0:
            shorter = self._waiting[first - 1][0]
            steps.append((longest - shorter, first - 1, last, longest, shorter))
        if last + 1 < len(self._waiting):
            longer = self._waiting[last + 1][0]
            steps.append((longer - longest, first, last + 1, longer, longer))
        for _, start, end, width, added in sorted(steps):
            padded, real = (end - start + 1) * width, real_tokens + added
            if padded > self._budget_tokens:
                continue
            if padded <= real * MAX_PADDED_SHARE + BATCH_COST_TOKENS:
                return start, end, real
        return None

    def _forget_ended(self, owners: set[int]) -> None:
        for owner in owners:
            entries = self._rows[owner]
            self._skip_taken(entries)
            if not entries:
                del self._rows[owner]
                self._turns.remove(owner)


def _order(entry: tuple[int, int, Row]) -> tuple[int, int]:
    return entry[0], entry[1]
