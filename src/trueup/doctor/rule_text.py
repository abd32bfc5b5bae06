"""A rule's docstring, taken apart: what is wrong, why, what to do. Rules have no other page."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from trueup.doctor.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    """The first paragraph without its period, those between, and the last, each in one line."""

    what: str
    why: tuple[str, ...]
    remedy: str


def text_of(rule: Rule) -> RuleText:
    """What a rule says of itself."""
    paragraphs = inspect.cleandoc(rule.__doc__ or "").split("\n\n")
    what, *rest = [" ".join(each.split()) for each in paragraphs]
    return RuleText(
        what=what.removesuffix("."),
        why=tuple(rest[:-1]),
        remedy=rest[-1] if rest else "",
    )
