"""kill -9 of a worker in mid-answer: the client gets the answer all the same, in one stream."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.pool.processes import ROOT, descendants
from tests.resume.cases import CHATS, DRAWN, chat, killed, requests
from tests.resume.judge import (
    Case,
    check_not_again,
    check_notes,
    check_same,
    check_steps,
    check_whole,
)
from tests.resume.killing import Bench, bench
from tests.resume.recording import FAULTS, SCRIPTED_SEED, Fault

LIMIT_SECONDS = 300.0


@pytest.fixture(autouse=True)
def find_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes start elsewhere and import from here."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))


async def check(made: Bench, group: Sequence[Case]) -> None:
    """Ask for all of a group at once, and judge every answer."""
    received = await asyncio.gather(*(made.ask(each.path, each.body, each.kills) for each in group))
    health, pid = await made.health(), made.pid
    records = made.records()
    for each, got in zip(group, received, strict=True):
        check_whole(each, got)
        check_steps(each, records)
        check_same(each, got)
        check_not_again(each, records)
        check_notes(each, got, is_exact=True)
    # The worker has counted what it made, and it is what the records show.
    assert health["decoded_tokens"] == made.decoded[pid]
    if len(group) == 1 and group[0].kills and len(group[0].expected.tokens) == 1:
        first = min(each.position for each in records if each.pid == pid)
        assert health["prefilled_tokens"] == len(group[0].expected.prompts[0]) + first


def run(groups: Sequence[Sequence[Case]], *, fault: Fault = "none") -> None:
    async def main() -> None:
        async with asyncio.timeout(LIMIT_SECONDS), bench(fault=fault) as made:
            for group in groups:
                await check(made, group)

    asyncio.run(main())


@pytest.mark.slow
def test_a_hundred_answers_survive_the_end_of_their_workers() -> None:
    draw = random.Random(20)
    made = list(requests())
    alone = [[killed(each, draw)] for each in made for _ in range(3)]
    draw.shuffle(made)
    queued = [[killed(each, draw) for each in made[start : start + 5]] for start in range(0, 25, 5)]
    assert sum(len(each.kills) for group in (*alone, *queued) for each in group) == 100
    run([*alone, *queued])


@pytest.mark.slow
def test_an_answer_survives_the_end_of_two_workers() -> None:
    given = chat(CHATS[0], seed=SCRIPTED_SEED + 1, **DRAWN)
    run([[killed(given, random.Random(21), kills=2)]])


@pytest.mark.slow
def test_an_answer_in_bf16_survives_and_says_that_it_may_have_become_another() -> None:
    case = replace(chat(CHATS[0], seed=SCRIPTED_SEED + 1, **DRAWN), kills=(2, 5))

    async def main() -> None:
        async with asyncio.timeout(LIMIT_SECONDS), bench("bfloat16") as made:
            received = await made.ask(case.path, case.body, case.kills)
            check_whole(case, received)
            check_notes(case, received, is_exact=False)
            assert received.texts[0].startswith("😀天é")
            firsts: dict[int, int] = {}
            records = made.records()
            for each in records:
                firsts.setdefault(each.pid, each.position)
            # Nothing that was sent is made again, and nothing is left out.
            assert list(firsts.values()) == sorted({0, *firsts.values()})
            assert {each.position for each in records} == set(
                range(received.usage["completion_tokens"])
            )

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_resumed_answer_from_a_wrong_state_is_noticed(fault: Fault) -> None:
    given = replace(chat(CHATS[0], seed=SCRIPTED_SEED + 1, **DRAWN), kills=(2,))
    with pytest.raises(AssertionError, match=r"the (logits|token|text).* (off|another)"):
        run([[given]], fault=fault)


@pytest.mark.slow
def test_an_answer_survives_when_the_worker_that_is_to_go_on_is_killed_in_its_load() -> None:
    case = replace(chat(CHATS[0], seed=SCRIPTED_SEED + 1, **DRAWN), kills=(2,))

    async def main() -> None:
        async with asyncio.timeout(LIMIT_SECONDS), bench() as made:
            asked = asyncio.create_task(made.ask(case.path, case.body, case.kills))
            first = await made.pid_other_than(None)
            os.kill(await made.pid_other_than(first), signal.SIGKILL)
            received = await asked
            check_whole(case, received)
            check_same(case, received)

    asyncio.run(main())


@pytest.mark.slow
def test_an_answer_survives_the_end_of_the_fork_server() -> None:
    case = chat(CHATS[0], seed=SCRIPTED_SEED + 1, **DRAWN)

    async def main() -> None:
        async with asyncio.timeout(LIMIT_SECONDS), bench() as made:
            made.gate(case.seed, is_open=False)
            asked = asyncio.create_task(made.ask(case.path, case.body, ()))
            await made.first_record()
            os.kill(descendants(os.getpid())[0], signal.SIGKILL)
            made.gate(case.seed, is_open=True)
            received = await asked
            check_whole(case, received)
            check_same(case, received)

    asyncio.run(main())
