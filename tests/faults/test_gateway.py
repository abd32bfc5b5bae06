"""Our gateway in front of every fault: none is broken, and each ends as its row says.

The cases are judged together, as many at once as a busy server has; each test tells of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.faults.case import Case
from tests.faults.cases import CASES
from tests.faults.gateways import alone_name, configuration, second_name
from tests.faults.in_process import LIMITS, SLOW_SECONDS, gateway_of
from tests.faults.judge import Target
from tests.faults.ports import closed_url
from tests.faults.server import FaultServer
from tests.faults.table import Outcome, judge_all

pytestmark = pytest.mark.slow

AT_ONCE = 16
PATIENCE_SECONDS = 60.0

Outcomes = dict[tuple[str, str], Outcome]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Outcomes:
    chosen: dict[str, Case] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.module is request.module:
            case = item.callspec.params["case"]
            assert isinstance(case, Case)
            chosen[case.name] = case
    return asyncio.run(_judged(list(chosen.values())))


async def _judged(cases: Sequence[Case]) -> Outcomes:
    found: Outcomes = {}
    async with (
        FaultServer(slow_seconds=SLOW_SECONDS).listening() as faulty,
        FaultServer(is_healthy=True).listening() as healthy,
    ):
        shape = configuration(
            cases, faulty=faulty.url, healthy=healthy.url, closed=closed_url(), limits=LIMITS
        )
        async with gateway_of(shape) as url:
            for name, named in (("alone", alone_name), ("second", second_name)):
                judged = await judge_all(
                    cases,
                    lambda case, name=name, named=named: Target(  # type: ignore[misc]
                        url, model=named(case), name=name, limit_seconds=PATIENCE_SECONDS
                    ),
                    lambda case, name=name: (  # type: ignore[misc]
                        case.alone if name == "alone" else case.fault.holds
                    ),
                    at_once=AT_ONCE,
                )
                found |= {(each.case.name, name): each for each in judged}
    return found


def _told(outcome: Outcome) -> str:
    due = " or ".join(sorted(outcome.due))
    return f"{outcome.verdict}, must be {due} ({outcome.case.why}): {dict(outcome.judged)}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_faulty_server_alone_ends_as_it_must(case: Case, outcomes: Outcomes) -> None:
    outcome = outcomes[case.name, "alone"]
    assert outcome.is_right, _told(outcome)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_with_a_healthy_second_server_every_answer_is_whole(case: Case, outcomes: Outcomes) -> None:
    outcome = outcomes[case.name, "second"]
    assert outcome.is_right, _told(outcome)
