"""What was delivered of an answer, given back as tokens, goes on with exactly the text left."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.engines.tiny import byte_fallback_tokenizer, byte_level_tokenizer, engine, never
from tests.pool.processes import events_of
from trueup.engines import chat
from trueup.engines.chat import TorchChatEngine
from trueup.engines.sampling import Sampler
from trueup.protocol.chat import parse_chat_request
from trueup.worker.answer import Answer

END = 1
PIECES = (
    "hello ",
    "the world",
    "你好",
    "天气，",
    "😀",
    "👍🏽",
    "é",
    "🇩🇪",
    "  ",
    "\n",
    "a",
    "ab",
    "x!",
)
TOKENIZERS = {"byte-level": byte_level_tokenizer, "byte-fallback": byte_fallback_tokenizer}


class Scripted(Sampler):
    """Chooses what the script of its choice says."""

    scripts: Sequence[Sequence[int]] = ()

    def choose(self, logits: torch.Tensor, answer: Sequence[int]) -> int:
        return self.scripts[self._choice][len(answer)]


def deliver(made: TorchChatEngine, request: Any) -> list[Any]:
    """The chunks that a worker sends."""
    answer = Answer(request)
    (prompt,) = made.prepare(request)
    steps = made.generate(prompt, request, never)
    return [chunk for step in steps for chunk in events_of(answer.events(step))]


class Client:
    """What the gateway keeps: for each choice its text, its tokens and its finish."""

    def __init__(self) -> None:
        self.texts, self.tokens = ["", ""], [[], []]  # type: list[str], list[list[int]]
        self.reasons: dict[int, str] = {}

    def take(self, chunk: Any) -> None:
        [choice] = chunk["choices"]
        index = choice["index"]
        assert index not in self.reasons
        self.texts[index] += choice["delta"].get("content", "")
        if private := chunk.get("trueup"):
            assert private["position"] == len(self.tokens[index])
            self.tokens[index] += private["token_ids"]
        if choice["finish_reason"]:
            self.reasons[index] = choice["finish_reason"]


def script(draw: random.Random, tokenizer: Any) -> list[int]:
    text = "".join(draw.choices(PIECES, k=draw.randint(1, 8)))
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    for _ in range(draw.randint(0, 2)):  # characters that stay broken
        ids.insert(draw.randrange(len(ids) + 1), draw.randint(2, 250))
    return [*ids, END]


def stops(draw: random.Random, texts: Sequence[str]) -> list[str]:
    """Strings of the answers, and such as begin like a part of them and go on otherwise."""
    found = []
    for text in texts:
        start = draw.randrange(len(text) + 1)
        part = text[start : start + draw.randint(1, 6)]
        found.append(part + draw.choice(("", "", "\0")))
    return [each for each in found if each][: draw.randint(0, 2)]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("answers_after_space", [False, True])
def test_every_cut_goes_on_with_the_text_that_is_left(
    name: str, answers_after_space: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = TOKENIZERS[name]()
    made = engine(
        tokenizer=tokenizer, stop_token_ids=(END,), answers_after_space=answers_after_space
    )
    monkeypatch.setattr(chat, "Sampler", Scripted)
    draw = random.Random(7)
    cuts = held = 0
    for _ in range(25):
        scripts = [script(draw, tokenizer) for _ in range(2)]
        monkeypatch.setattr(Scripted, "scripts", scripts)
        request = parse_chat_request(
            {
                "model": "m",
                "messages": [{"role": "user", "content": "a"}],
                "n": 2,
                "max_tokens": draw.randint(1, 40),
                "stop": stops(draw, [tokenizer.decode(each[:-1]) for each in scripts]) or None,
            }
        )
        chunks = deliver(made, request)
        whole = Client()
        for chunk in chunks:
            whole.take(chunk)
        assert set(whole.reasons) == {0, 1}
        held += sum(len(chunk["trueup"]["token_ids"]) > 1 for chunk in chunks if "trueup" in chunk)
        for cut in draw.sample(range(len(chunks)), min(4, len(chunks))):
            client = Client()
            for chunk in chunks[:cut]:
                client.take(chunk)
            given = {i: tuple(client.tokens[i]) for i in range(2) if i not in client.reasons}
            if given:
                for chunk in deliver(made, replace(request, resume=given)):
                    client.take(chunk)
            assert vars(client) == vars(whole), (scripts, request, cut)
            cuts += 1
    assert cuts > 50
    assert held > 20
