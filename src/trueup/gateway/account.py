"""What a client is told of how its answer came about.

Headers say it; what changes after they left is told in the finish chunk.
"""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import quote

from trueup.gateway.chain import Chain
from trueup.gateway.delivery import Delivery


class Account:
    """Who answered, after how many tries, what was left out, how often it was continued."""

    def __init__(self, chain: Chain, delivery: Delivery) -> None:
        self._chain = chain
        self._delivery = delivery
        self._told: dict[str, Any] | None = None

    def headers(self) -> list[tuple[str, str]]:
        """The headers of the response, which begins now."""
        told = self._told = self._now()
        if not told:
            return []
        headers = [
            ("x-trueup-backend", _quoted(told["backend"])),
            ("x-trueup-tries", str(told["tries"])),
        ]
        if told["dropped"]:
            headers.append(("x-trueup-dropped", ", ".join(told["dropped"])))
        if continuations := self._delivery.continuations:
            headers.append(("x-trueup-continuations", str(continuations)))
        return headers

    def changes(self) -> dict[str, Any]:
        """What is otherwise than the headers said; nothing where they did not leave yet."""
        told = self._told
        if told is None:
            return {}
        return {name: value for name, value in self._now().items() if value != told.get(name)}

    def _now(self) -> dict[str, Any]:
        chain = self._chain
        if chain.current is None:
            return {}
        return {
            "backend": chain.current.backend.name,
            "tries": chain.tries,
            "dropped": list(chain.dropped),
        }


@functools.cache
def _quoted(name: str) -> str:
    """A backend's name as a header can carry it; there are as many as the configuration has."""
    return quote(name, safe="/:@+,;=-_.~ ")
