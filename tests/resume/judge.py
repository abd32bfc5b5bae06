"""What must hold of an answer that was killed: whole, the same, computed once, by right logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.resume.killing import Received
from tests.resume.recording import Recorded
from tests.resume.reference import CHAT, Undisturbed, teacher_forced

LOGITS_WITHIN = 1e-4


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request, its answer as it should be, and after which chunks its worker is killed."""

    path: str
    body: Mapping[str, Any]
    expected: Undisturbed
    kills: Sequence[int] = ()

    @property
    def seed(self) -> int:
        seed: int = self.body["seed"]
        return seed


def check_whole(case: Case, received: Received) -> None:
    """The stream is in order and everything is there; says nothing about the words."""
    choices = range(len(case.expected.tokens))
    assert not received.errors, received.errors
    assert received.is_done
    assert received.kills == len(case.kills)
    assert sorted(received.reasons) == list(choices)
    assert len(received.ids) == 1
    if case.path == CHAT:
        assert [received.roles[choice] for choice in choices] == [1] * len(choices)


def check_same(case: Case, received: Received) -> None:
    """The client has what it would have had undisturbed."""
    expected = case.expected
    for choice, text in enumerate(expected.texts):
        assert received.texts[choice] == text, f"the text of choice {choice} is another"
        assert received.reasons[choice] == expected.reasons[choice]
    assert received.usage == expected.usage


def check_steps(case: Case, records: Sequence[Recorded]) -> None:
    """Every step of every worker was computed from the right state, every token is there."""
    expected = case.expected
    for choice, tokens in enumerate(expected.tokens):
        forced = teacher_forced(expected.prompt_of(choice), tokens)
        steps = [each for each in records if (each.seed, each.choice) == (case.seed, choice)]
        assert {each.position for each in steps} >= set(range(len(tokens)))
        for each in steps:
            place = f"at token {each.position} of choice {choice}"
            assert each.position < len(tokens), f"there is more {place}"
            off = np.abs(each.logits - forced[each.position]).max()
            assert off <= LOGITS_WITHIN, f"the logits are off by {off} {place}"
            assert each.token == tokens[each.position], f"the token is another {place}"


def check_not_again(case: Case, records: Sequence[Recorded]) -> None:
    """No worker made a token again that the client had when the one before it was killed."""
    own = [each for each in records if each.seed == case.seed]
    pids = list(dict.fromkeys(each.pid for each in own))
    assert len(pids) == 1 + len(case.kills)
    for pid, after in zip(pids[1:], case.kills, strict=True):
        had = dict(case.expected.chunks[:after])
        for each in own:
            assert each.pid != pid or each.position >= had.get(each.choice, 0)


def check_notes(case: Case, received: Received, *, is_exact: bool) -> None:
    """The finish chunks tell how often the answer was continued until then.

    A request in a queue may be handed a worker that was killed under the one before it.
    """
    assert all(each["exact"] is is_exact for each in received.notes)
    assert received.notes[-1]["continuations"] >= len(case.kills)
