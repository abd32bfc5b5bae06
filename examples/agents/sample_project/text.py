"""Texts on the shop's pages."""

from __future__ import annotations

import re
import unicodedata


def slug(title: str) -> str:
    """A title as a part of an address: `Café au lait!` -> `cafe-au-lait`."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def shorten(text: str, limit: int) -> str:
    """The words of `text` that fit into `limit` characters."""
    if len(text) <= limit:
        return text
    return text[: limit - 1].rsplit(" ", 1)[0] + "…"


async def fetch_all(session: object, addresses: list[str]) -> list[str]:
    """The pages at the addresses, one after the other."""
    pages = []
    for address in addresses:
        async with session.get(address) as answer:  # type: ignore[attr-defined]
            pages.append(await answer.text())
    return pages
