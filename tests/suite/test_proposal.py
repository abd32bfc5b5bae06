from __future__ import annotations

from typing import Any

from tests.suite.cases import result, seconds, subject
from trueup.suite.case import Result, Subject
from trueup.suite.proposal import Proposals

CHAIN = (
    subject("a", plan={"device": "cuda:0"}),
    subject("b"),
    subject("c"),
    subject("r", "role", chain=("a", "b", "c")),
    *(subject(name, "member", id=f"r/{name}", role="r") for name in "abc"),
)


def proposed(failed: Result, *others: Result, subjects: Any = CHAIN) -> str | None:
    return Proposals(subjects, (failed, *others)).instead_of(failed)


def test_another_of_the_chain_that_passes_the_same_is_put_first() -> None:
    failed = result("r/a/answer-zh", "failed")
    others = (
        result("r/b/answer-zh"),
        result("r/b/language-zh", "failed"),
        result("r/c/answer-zh"),
    )
    told = proposed(failed, *others)
    assert told is not None
    assert told.startswith("`c`, which is in the chain of `r` too")
    assert told.endswith("`chain: [c, a, b]`")
    assert proposed(failed, result("r/b/answer-zh", "failed")) is None


def test_for_one_that_does_not_load_whoever_loads_stands_in() -> None:
    failed = result("a/check", "failed", subject="a")
    told = proposed(failed, result("b/load", "failed"), result("c/reach"), result("a/load"))
    assert told is not None
    assert "`chain: [c, a, b]`" in told


def test_in_a_static_run_the_check_decides() -> None:
    told = proposed(result("a/check", "failed"), result("b/check", "failed"), result("c/check"))
    assert told is not None
    assert told.startswith("`c`")


def alone(key: str, plan: dict[str, Any], **changes: Any) -> str | None:
    one: tuple[Subject, ...] = (subject("a", plan=plan, source=changes.pop("source", None)),)
    return proposed(result(f"a/{key}", "failed", subject="a", **changes), subjects=one)


def test_what_the_plan_leaves_open_is_proposed() -> None:
    cpu = {"device": "cpu", "dtype": "float32"}
    why = ["… this release of TrueUp has only `native`: `--route auto` takes what there is"]
    assert alone("check", {"why": why}) == "the native route: `route: auto`"
    assert alone("embedding", cpu) == "the same model in int8: `dtype: int8`"
    assert alone("embedding", {**cpu, "dtype": "int8"}) is None
    late = seconds(9, limit=5)
    for key in ("answer-zh", "begin-en", "prompts/hello"):
        assert "on a GPU" in str(alone(key, cpu, verdict=late))
    assert alone("answer-zh", cpu) is None
    assert alone("answer-zh", {"device": "cuda"}, verdict=late) is None


def test_another_that_passed_everything_is_proposed() -> None:
    subjects = (subject("a"), subject("b"), subject("c"), subject("d", kind="embedding"))
    others = (result("b/load", "failed"), result("c/load"), result("d/load"))
    told = proposed(result("a/load", "failed"), *others, subjects=subjects)
    assert told == "`c`, which is chat too and passed everything here"
    assert proposed(result("a/memory", "failed"), *others, subjects=subjects) is None


def test_for_similarity_a_model_that_was_trained_for_it_is_named_unless_it_is_that() -> None:
    told = alone("similarity", {})
    assert told is not None
    assert "unixcoder" in told
    assert alone("similarity", {}, source="microsoft/unixcoder-base") is None
