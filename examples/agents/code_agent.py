"""The agent that compares code: vectors of the role `code_analysis`, cosines in plain Python.

It answers with what it measured; no model words it. The cosine of two vectors says which
functions are more alike than others: a value alone, 0.9 say, means little.
"""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import openai
from connection import AgentError, asking
from functions import Function, read_functions
from language import is_chinese

ROLE = "code_analysis"
SHOWN = 3
BATCH = 64
# All pairs of more take minutes in plain Python.
MOST_FUNCTIONS_FOR_PAIRS = 1000
PAIR_WORDS = re.compile(
    r"重复|最像|最相似|成对|\b(duplicat\w*|copies|copy|twice|pairs?|most (alike|similar))\b", re.I
)
# After one of these a plain word may be a name: "like slug", "与 slug 相似".
BEFORE_NAME = re.compile(r"(\b(like|to|as|of)\s+|[与和跟像同]\s*)$", re.I)
NAME = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
FENCED = re.compile(r"```\w*\n(.*?)```", re.S)


class CodeAgent:
    """Answers about the functions of one folder; reads it anew for each message."""

    role = ROLE

    def __init__(self, client: openai.OpenAI, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._vectors: dict[str, list[float]] = {}
        self._told: set[str] = set()

    def answer(self, message: str) -> Iterator[str]:
        """The most alike of what the message asks for.

        1. A message with code in a fence: the functions like that code.
        2. One that names a function of the folder: the functions like it.
        3. One about copies or pairs: the most alike pairs.
        4. Any other is a description: the functions nearest to it.

        Raises: AgentError
        """
        functions = self._functions()
        if block := FENCED.search(message):
            yield from self._nearest(block[1], functions, message)
        elif named := named_functions(message, functions):
            for one in named[:SHOWN]:
                others = [each for each in functions if each is not one]
                yield from self._nearest(one.code, others, message, one)
        elif PAIR_WORDS.search(message):
            yield from self._pairs(functions, message)
        else:
            yield from self._nearest(message, functions, message)

    def _functions(self) -> list[Function]:
        if not self._folder.is_dir():
            raise AgentError(f"`{self._folder}` is no folder", "name one: --code FOLDER")
        functions, left_out = read_functions(self._folder)
        for line in left_out:
            if line not in self._told:
                print(f"left out: {line}", file=sys.stderr)
        self._told.update(left_out)
        if not functions:
            cause = f"`{self._folder}` has no Python functions"
            raise AgentError(cause, "name another folder: --code FOLDER")
        return functions

    def _pairs(self, functions: list[Function], message: str) -> Iterator[str]:
        if len(functions) > MOST_FUNCTIONS_FOR_PAIRS:
            raise AgentError(
                f"{len(functions)} functions, at most {MOST_FUNCTIONS_FOR_PAIRS} are paired here",
                f"trueup similar --duplicates {self._folder}",
            )
        if len(functions) == 1:
            raise AgentError(f"`{self._folder}` has one function, `{functions[0].name}`: no pair")
        vectors = self._embed([each.code for each in functions])
        scored = sorted(
            (
                (cosine(vectors[left.code], vectors[right.code]), left, right)
                for left, right in combinations(functions, 2)
            ),
            key=lambda row: -row[0],
        )
        count = len(functions)
        yield (
            f"{count} 个函数中最相似的几对：\n"
            if is_chinese(message)
            else f"The most alike pairs of {count} functions:\n"
        )
        for score, left, right in scored[:SHOWN]:
            yield f"  {score:.4f}  {left.place}  =  {right.place}\n"

    def _nearest(
        self, text: str, functions: list[Function], message: str, one: Function | None = None
    ) -> Iterator[str]:
        vectors = self._embed([text, *(each.code for each in functions)])
        scored = sorted(
            ((cosine(vectors[text], vectors[each.code]), each) for each in functions),
            key=lambda row: -row[0],
        )
        if is_chinese(message):
            yield f"与 {one.place if one else '所给内容'} 最相似的函数：\n"
        else:
            yield f"The functions most like {one.place if one else 'what you gave'}:\n"
        for score, each in scored[:SHOWN]:
            yield f"  {score:.4f}  {each.place}\n"

    def _embed(self, texts: list[str]) -> dict[str, list[float]]:
        """The vectors of the texts; only those not seen before are asked for."""
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            with asking(self._client, ROLE):
                answer = self._client.embeddings.create(
                    model=ROLE,
                    input=batch,
                    # TrueUp's own field: a function longer than the model's context is no error.
                    extra_body={"windows": True},
                )
            self._vectors |= zip(batch, (row.embedding for row in answer.data), strict=True)
        return self._vectors


def named_functions(message: str, functions: list[Function]) -> list[Function]:
    """The functions that the message names, by `method` or `Class.method`.

    A word with `_` or `.`, in backticks, with `(` after it or with "like" before it can be a
    name; others are words of a description.
    """
    names: dict[str, list[Function]] = {}
    for each in functions:
        for name in {each.name, each.name.rpartition(".")[2]}:
            names.setdefault(name, []).append(each)
    found: list[Function] = []
    for match in NAME.finditer(message):
        name = match[0].rstrip(".")
        before, after = message[: match.start()], message[match.end() :]
        is_marked = "_" in name or "." in name or after.startswith("(")
        is_quoted = before.endswith("`") and after.startswith("`")
        if is_marked or is_quoted or BEFORE_NAME.search(before):
            found += (each for each in names.get(name, ()) if each not in found)
    return found


def cosine(left: list[float], right: list[float]) -> float:
    """The cosine of the angle between two vectors; 0 where one has no length."""
    lengths = math.hypot(*left) * math.hypot(*right)
    return sum(map(operator.mul, left, right)) / lengths if lengths else 0.0
