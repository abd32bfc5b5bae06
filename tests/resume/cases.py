"""Requests whose workers are killed, and where: all drawn from fixed seeds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.resume.judge import Case
from tests.resume.recording import SCRIPTED_SEED
from tests.resume.reference import CHAT, COMPLETIONS, undisturbed

MAX_TOKENS = 48
CHATS = ("hello", "你好", "What is TrueUp?", "How do I run ChatGLM2?")
PROMPTS = ("def f(x):", "Once upon a time", "TrueUp 是什么", "你好")
GREEDY, DRAWN = {"temperature": 0}, {"temperature": 1}


def case(path: str, **fields: Any) -> Case:
    """A request that is not killed yet."""
    body = {"model": "demo", "max_tokens": MAX_TOKENS, **fields}
    return Case(path=path, body=body, expected=undisturbed(path, body))


def chat(content: str, **fields: Any) -> Case:
    return case(CHAT, messages=[{"role": "user", "content": content}], **fields)


def stopped(given: Case) -> Case:
    """With strings that the answer begins and does not end, and one that ends it."""
    text = given.expected.texts[0]
    near = [text[start : start + 9] + "\0" for start in range(2, len(text) - 20, 6)]
    end = len(text) * 4 // 5
    body: Mapping[str, Any] = {**given.body, "stop": [*near[:12], text[end : end + 5]]}
    stopped = Case(path=given.path, body=body, expected=undisturbed(given.path, body))
    assert stopped.expected.reasons[0] == "stop"
    assert len(stopped.expected.texts[0]) < len(text)
    return stopped


def requests() -> Iterator[Case]:
    """25 requests: greedy and drawn, chats and completions, one choice and several."""
    seed = iter(range(GATES_FROM, 64))
    for draw in (GREEDY, DRAWN):
        for content in CHATS[:2]:
            yield chat(content, seed=next(seed), **draw)
        for prompt in PROMPTS[:3]:
            yield case(COMPLETIONS, prompt=prompt, seed=next(seed), **draw)
        # Each byte of an emoji is a token.
        for content in CHATS[2:]:
            yield chat(content, seed=SCRIPTED_SEED + next(seed), **draw)
        for prompt in PROMPTS[:2]:
            long = case(COMPLETIONS, prompt=prompt, seed=SCRIPTED_SEED + next(seed), **draw)
            yield stopped(long)
        yield stopped(chat(CHATS[0], seed=next(seed), **draw))
        yield chat(CHATS[1], n=2, seed=SCRIPTED_SEED + next(seed), **draw)
        yield case(COMPLETIONS, prompt=[*PROMPTS[:2]], n=2, seed=next(seed), **draw)
    yield case(
        COMPLETIONS,
        prompt=PROMPTS[0],
        seed=next(seed),
        temperature=1,
        frequency_penalty=1,
        presence_penalty=1,
    )


GATES_FROM = 1


def killed(given: Case, draw: random.Random, *, kills: int = 1) -> Case:
    """The same with so many kills at random chunks."""
    places = draw.sample(range(1, len(given.expected.chunks) + 1), kills)
    return replace(given, kills=tuple(sorted(places)))
