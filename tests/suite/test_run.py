from __future__ import annotations

import asyncio

import pytest

from tests.suite.cases import case, fails, passes
from tests.suite.fake_service import FakeService
from trueup.errors import BackendError
from trueup.suite.case import Case, Problem, Verdict
from trueup.suite.run import Run, chosen_cases, is_chosen
from trueup.suite.service import Service


def states(work: Run) -> dict[str, str]:
    return {each.case.id: each.state for each in work.results}


async def test_cases_run_in_order_and_tell_how_far() -> None:
    told = []
    cases = [case("a/1"), case("a/2", fails)]
    work = Run(cases, progress=lambda case, number, count: told.append((case.id, number, count)))
    assert states(work) == {"a/1": "not_run", "a/2": "not_run"}
    await work.carry_out(FakeService())
    assert states(work) == {"a/1": "passed", "a/2": "failed"}
    assert told == [("a/1", 1, 2), ("a/2", 2, 2)]
    assert work.failed == 1


async def test_what_failed_skips_all_that_needs_it_and_is_named_as_the_root() -> None:
    work = Run([case("a/1", fails), case("a/2", needs=("a/1",)), case("a/3", needs=("a/2",))])
    await work.carry_out(FakeService())
    _, second, third = work.results
    assert (second.state, second.because, second.needed) == ("skipped", "`a/1` failed", "a/1")
    assert (third.state, third.because, third.needed) == ("skipped", "`a/1` failed", "a/1")


async def test_a_case_that_cannot_be_judged_is_skipped_for_its_own_reason() -> None:
    async def unable(service: Service) -> Verdict:
        return Verdict(unable=Problem(cause="nothing to measure with"))

    work = Run([case("a/1", unable), case("a/2", needs=("a/1",)), case("a/3", follows=("a/1",))])
    await work.carry_out(FakeService())
    first, second, third = work.results
    assert (first.state, first.because, first.needed) == (
        "skipped",
        "nothing to measure with",
        None,
    )
    assert (second.state, second.because) == ("skipped", "`a/1` was skipped")
    assert third.state == "passed"


async def test_an_expected_error_fails_its_case_and_ends_nothing() -> None:
    async def broken(service: Service) -> Verdict:
        raise BackendError("it is gone", retryable=True, where="far", hint="start it")

    work = Run([case("a/1", broken), case("a/2")])
    await work.carry_out(FakeService())
    first, second = work.results
    problem = first.verdict.problem
    assert problem is not None
    assert problem.where is not None
    assert (problem.cause, problem.where.text, problem.hint) == ("it is gone", "far", "start it")
    assert second.state == "passed"


async def test_an_interrupted_run_keeps_what_it_knows() -> None:
    begun = asyncio.Event()

    async def endless(service: Service) -> Verdict:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    work = Run([case("a/1"), case("a/2", endless), case("a/3")])
    task = asyncio.create_task(work.carry_out(FakeService()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert states(work) == {"a/1": "passed", "a/2": "not_run", "a/3": "not_run"}
    assert work.results[2].because == "the run was interrupted"


async def test_a_static_case_has_its_verdict_before_anything_runs() -> None:
    static = Case(id="a/check", subject="a", title="", verdict=Verdict(), seconds=3.0)
    unchecked = Case(id="b/check", subject="b", title="")
    work = Run([static, unchecked])
    assert states(work) == {"a/check": "passed", "b/check": "not_run"}
    await work.carry_out(FakeService())
    assert states(work) == {"a/check": "passed", "b/check": "not_run"}
    assert work.results[0].seconds == 3.0


@pytest.mark.parametrize(
    ("only", "skip", "chosen"),
    [
        ([], [], True),
        (["load"], [], True),
        (["*/load"], [], True),
        (["glm/*"], [], True),
        (["lm/*"], [], False),
        (["check", "load"], [], True),
        (["check"], [], False),
        ([], ["load"], False),
        (["glm"], ["*/load"], False),
        ([], ["loads"], True),
    ],
)
def test_patterns_choose_cases(only: list[str], skip: list[str], chosen: bool) -> None:
    assert is_chosen("glm/load", only, skip) is chosen


def test_what_a_chosen_case_needs_comes_with_it() -> None:
    cases = [
        case("a/check"),
        case("a/load", needs=("a/check",)),
        case("a/answer", needs=("a/load",)),
        case("a/language", needs=("a/load",), follows=("a/answer",)),
        case("b/load"),
    ]
    chosen = chosen_cases(cases, ["language"], [])
    assert [each.id for each in chosen] == ["a/check", "a/load", "a/answer", "a/language"]
    assert chosen_cases(cases, [], []) == cases
    assert chosen_cases(cases, ["zzz"], []) == []


async def test_a_case_whose_prerequisite_is_not_in_the_run_is_run() -> None:
    work = Run([case("a/2", passes, needs=("a/1",))])
    await work.carry_out(FakeService())
    assert states(work) == {"a/2": "passed"}
