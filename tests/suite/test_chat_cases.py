from __future__ import annotations

import pytest

from tests.suite.fake_service import FakeService
from trueup.suite import chat_cases
from trueup.suite.case import Place
from trueup.suite.chat_cases import ChatMeasures, unknown_language
from trueup.suite.criteria import Criteria
from trueup.suite.expectation import Expectation
from trueup.suite.language import BEGINNINGS, QUESTIONS
from trueup.suite.prompts import Prompt


def measures(kind: str = "chat", **criteria: object) -> ChatMeasures:
    return ChatMeasures("m", kind, Criteria(**criteria))  # type: ignore[arg-type]


def prompt(text: str = "q", **changes: object) -> Prompt:
    fields: dict[str, object] = {
        "id": "1",
        "messages": ({"role": "user", "content": text},),
        "expectation": Expectation(contains=("yes",)),
        "max_tokens": None,
        "within_seconds": None,
        "place": Place(text="p.yaml:3", path="p.yaml", line=3),
    }
    return Prompt(**{**fields, **changes})  # type: ignore[arg-type]


async def test_a_whole_answer_in_time_passes_and_is_kept_for_its_language() -> None:
    service = FakeService({"m": {QUESTIONS["zh"]: "我是一个小模型", "": "I am a small one"}})
    it = measures(first_token_seconds=2.0)
    answered = await it.answers(service, "zh")
    assert answered.problem is None
    assert answered.figures[0].value == 0.1
    assert answered.details == {"asked": QUESTIONS["zh"], "answer": "我是一个小模型"}
    assert service.max_tokens == [128]
    assert (await it.speaks(service, "zh")).problem is None
    assert (await it.begins(service, "zh")).problem is None
    assert len(service.asked) == 1


async def test_a_late_answer_fails_with_its_time_and_its_language_is_judged_all_the_same() -> None:
    service = FakeService({"m": {"": "I am late"}}, seconds=7.04, first_seconds=3.0)
    it = measures(first_token_seconds=2.0)
    late = await it.answers(service, "en")
    assert late.problem is not None
    assert late.problem.cause == "the answer took 7.0 s, expected 5 s or less"
    assert (await it.speaks(service, "en")).problem is None
    begun = await it.begins(service, "en")
    assert begun.problem is not None
    assert begun.problem.cause == "the answer began after 3.0 s, expected 2 s or less"


async def test_an_empty_answer_fails_and_has_no_language() -> None:
    service = FakeService({"m": {"": " \n"}})
    it = measures()
    empty = await it.answers(service, "en")
    assert empty.problem is not None
    assert empty.problem.cause == "the answer is empty, expected text"
    assert (await it.speaks(service, "en")).unable is not None
    assert (await it.speaks(service, "zh")).unable is not None


async def test_an_answer_in_another_language_fails_with_what_was_said() -> None:
    service = FakeService({"m": {"": "I only speak English"}})
    it = measures()
    await it.answers(service, "zh")
    wrong = await it.speaks(service, "zh")
    assert wrong.problem is not None
    assert wrong.problem.cause == "the answer is not in Chinese: `I only speak English`"


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_cases, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(chat_cases, "PATIENCE", 0)
    service = FakeService({"m": {"": "x"}}, hangs=True)
    it = measures()
    given_up = await it.answers(service, "en")
    assert given_up.problem is not None
    assert given_up.problem.cause == "no whole answer within 0 s, expected 5 s or less"
    unmet = await it.meets(service, prompt())
    assert unmet.problem is not None
    assert unmet.problem.where is not None
    assert unmet.problem.where.line == 3


async def test_a_completion_model_goes_on_with_a_beginning() -> None:
    service = FakeService({"m": {"": "a king"}}, finish_reason="length")
    verdict = await measures("completion").answers(service, "en")
    assert service.asked == [("m", BEGINNINGS["en"])]
    assert verdict.notes == ("the answer was cut at the token limit",)


async def test_a_prompt_is_met_or_tells_its_line_and_all_that_is_wrong() -> None:
    service = FakeService({"m": {"good": "yes", "bad": "no"}}, seconds=9.0)
    it = measures()
    assert (await it.meets(service, prompt("good"))).problem is None
    wrong = await it.meets(service, prompt("bad", within_seconds=2.0, max_tokens=7))
    assert wrong.problem is not None
    assert wrong.problem.cause == (
        "the answer is not as expected: it does not contain `yes`; it took 9.0 s, expected 2 s or "
        "less; it is `no`"
    )
    assert wrong.problem.where == Place(text="p.yaml:3", path="p.yaml", line=3)
    assert service.max_tokens == [128, 7]
    empty = await it.meets(service, prompt("other", expectation=Expectation()))
    assert empty.problem is not None
    assert "it is empty" in empty.problem.cause


def test_a_language_without_a_question_is_no_failure_of_the_model() -> None:
    unable = unknown_language("sw").unable
    assert unable is not None
    assert "`sw`" in unable.cause
