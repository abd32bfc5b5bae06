from __future__ import annotations

from tests.suite.fake_service import FakeService
from tests.suite.test_chat_cases import prompt
from trueup.suite.comparison import compare_chats, compare_embeddings
from trueup.suite.criteria import Criteria

PROMPTS = (prompt("a", id="a"), prompt("b", id="b"))
KINDS = ("chat", "chat")


async def compared(one: dict[str, str], other: dict[str, str] | None) -> object:
    answers = {"one": one} if other is None else {"one": one, "other": other}
    service = FakeService(answers)
    return await compare_chats(service, ("one", "other"), KINDS, PROMPTS, Criteria())


async def test_who_meets_all_that_the_other_meets_does_no_worse() -> None:
    verdict = await compared({"a": "yes", "b": "no"}, {"a": "yes", "b": "yes"})
    assert verdict.problem is None  # type: ignore[attr-defined]
    assert [each.value for each in verdict.figures] == [1, 2]  # type: ignore[attr-defined]


async def test_what_only_the_first_meets_is_named_and_both_answers_kept() -> None:
    verdict = await compared({"a": "yes", "b": "yes"}, {"a": "no", "b": "yes"})
    problem, details = verdict.problem, verdict.details  # type: ignore[attr-defined]
    assert problem.cause == "`other` does not meet `p/a`, which `one` meets"
    first = details["prompts"][0]
    assert first["asked"] == "a"
    assert [each["answer"] for each in first["answers"]] == ["yes", "no"]
    assert [each["passed"] for each in first["answers"]] == [True, False]


async def test_who_does_not_answer_meets_nothing_and_says_why() -> None:
    verdict = await compared({"a": "yes", "b": "no"}, None)
    assert verdict.problem is not None  # type: ignore[attr-defined]
    row = verdict.details["prompts"][0]["answers"][1]  # type: ignore[attr-defined]
    assert row == {"answer": None, "seconds": None, "passed": False,
                   "cause": "`other` cannot be loaded"}  # fmt: skip


async def test_embedding_models_are_compared_by_what_they_tell_apart() -> None:
    class Two(FakeService):
        async def embed(self, model: str, texts: object) -> list[bytes]:
            self.vector = good if model == "good" else bad
            return await super().embed(model, texts)  # type: ignore[arg-type]

    def good(text: str, call: int) -> tuple[float, ...]:
        return tuple(float(text.count(each)) for each in "abcdefghijklmnopqrstuvwxyz(){};:=")

    def bad(text: str, call: int) -> tuple[float, ...]:
        return (1.0, float(len(text) % 7))

    better = await compare_embeddings(Two(), "bad", "good", Criteria())
    worse = await compare_embeddings(Two(), "good", "bad", Criteria())
    assert better.problem is None
    assert worse.problem is not None
    assert worse.problem.hint == "keep `good` first"
