"""The right answer to a request of a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.answer import ARGUMENTS, TOOL_NAME, Asked
from tests.faults.case import Case

MOST_VARIANTS = 9


@dataclass(frozen=True)
class Right:
    """What a whole answer holds; `texts` are alternatives, `arguments` None means no call.

    `usages` are how many chunks with usage there may be.
    """

    texts: frozenset[str]
    finishes: frozenset[str]
    choices: int
    tool: str
    arguments: Mapping[str, Any] | None
    usages: frozenset[int]
    is_chat: bool


def right_answer(case: Case, shape: Mapping[str, Any]) -> Right:
    """What must be said to `shape`, whoever answers it."""
    fault = case.fault
    asked = Asked(shape, fault.path)
    text = "".join(asked.said[0])
    texts = {text}
    for also in fault.also:
        texts.add(text.replace(also.replace("\ufffd", ""), also))
    if fault.varies:
        texts |= {f"({number}) {text}" for number in range(1, MOST_VARIANTS)}
    finishes = {"tool_calls"} if asked.wants_call else {asked.said[1]}
    if fault.name == "finish-length":
        finishes.add("length")
    usages = {int(asked.wants_usage)}
    if "stream_options" in fault.drops:  # then the server counts nothing that could be told
        usages.add(0)
    return Right(
        texts=frozenset({""} if asked.wants_call else texts),
        finishes=frozenset(finishes),
        choices=asked.choices,
        tool=TOOL_NAME,
        arguments=ARGUMENTS if asked.wants_call else None,
        usages=frozenset(usages),
        is_chat=asked.is_chat,
    )
