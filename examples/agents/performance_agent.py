"""The agent that comments on figures: Python computes them, `performance_analysis` words them.

The computed figures always come first in the answer, and numbers in the model's words that
are not among them are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import openai
from connection import AgentError, asking
from figures import Summary, read_figures, summarise
from language import is_chinese

ROLE = "performance_analysis"
MOST_LINES = 12
NUMBER = re.compile(r"\d+(?:\.\d+)?")
# Smaller whole numbers count sentences and reasons.
SMALLEST_CHECKED = 10
INSTRUCTIONS = {
    True: "用中文评论以下性能数据，最多三句话。只用这些数字。",
    False: "Comment on these performance figures in at most three sentences. Use no other numbers.",
}


class PerformanceAgent:
    """Answers about the figures of one file; reads it anew for each message."""

    role = ROLE

    def __init__(self, client: openai.OpenAI, path: Path) -> None:
        self._client = client
        self._path = path

    def answer(self, message: str) -> Iterator[str]:
        """The figures that the message names (all where it names none), then the comment.

        Raises: AgentError
        """
        chosen = chosen_summaries(message, summarise(read_figures(self._path)))
        if not chosen:
            raise AgentError(f"`{self._path}` has no column of numbers")
        chinese = is_chinese(message)
        table = "\n".join(each.line() for each in chosen[:MOST_LINES])
        yield "".join(f"  {line}\n" for line in table.splitlines())
        if (more := len(chosen) - MOST_LINES) > 0:
            yield f"  （另有 {more} 行）\n" if chinese else f"  (and {more} more)\n"
        comment = ""
        with (
            asking(self._client, ROLE),
            self._client.chat.completions.create(
                model=ROLE,
                messages=[
                    {"role": "system", "content": INSTRUCTIONS[chinese]},
                    {"role": "user", "content": f"{table}\n\n{message}"},
                ],
                stream=True,
            ) as stream,
        ):
            for chunk in stream:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    comment += text
                    yield text
        if odd := unknown_numbers(comment, f"{table}\n{message}"):
            listed = ", ".join(odd)
            yield (
                f"\n（不在数据中的数字：{listed}）"
                if chinese
                else f"\n(not in the figures: {listed})"
            )


def chosen_summaries(message: str, summaries: list[Summary]) -> list[Summary]:
    """Those of the groups and columns that the message names; of either all, if it names none."""
    for field in ("group", "column"):
        named = [each for each in summaries if _is_named(getattr(each, field), message)]
        summaries = named or summaries
    return summaries


def _is_named(name: str, message: str) -> bool:
    # ASCII words: a Chinese character next to a name ends it.
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message, re.I | re.A) is not None


def unknown_numbers(comment: str, given: str) -> list[str]:
    """Numbers of the comment that were not given, not even when rounded as they are there."""
    known = [float(number) for number in NUMBER.findall(given)]
    odd = []
    for number in NUMBER.findall(comment):
        decimals = len(number.partition(".")[2])
        if not decimals and float(number) < SMALLEST_CHECKED:
            continue
        if all(round(each, decimals) != float(number) for each in known):
            odd.append(number)
    return list(dict.fromkeys(odd))
