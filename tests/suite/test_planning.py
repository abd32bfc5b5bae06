from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.suite.cases import subject
from tests.suite.fake_service import FakeService
from trueup.config.settings import Acceptance, RoleSettings
from trueup.errors import ConfigError
from trueup.suite.case import Problem, Verdict
from trueup.suite.criteria import Wanted
from trueup.suite.planning import Examined, SuitePlan, plan_suite
from trueup.suite.run import Run

TABLE = Path(__file__).resolve().parents[2] / "docs" / "suite.md"
PROMPTS = "prompts: [{id: greet, prompt: hi}]"


def ours(name: str, **changes: Any) -> Examined:
    kind = changes.pop("kind", "chat")
    return Examined(subject=subject(name, kind=kind, is_ours=True), check=Verdict(), **changes)


def far(name: str, kind: str = "chat") -> Examined:
    return Examined(subject=subject(name, "backend", kind=kind))


def planned(*tested: Examined, roles: Any = (), folder: Path = Path(), **wanted: Any) -> SuitePlan:
    return plan_suite(tested, roles, Wanted(**wanted), folder=folder)


def ids(suite: SuitePlan) -> list[str]:
    return [each.id for each in suite.cases]


def test_a_chat_model_is_checked_loaded_measured_and_asked_in_two_languages() -> None:
    suite = planned(ours("glm"))
    assert ids(suite) == [
        "glm/check", "glm/load", "glm/memory", "glm/answer-zh", "glm/language-zh",
        "glm/answer-en", "glm/language-en", "glm/memory-steady",
    ]  # fmt: skip
    assert [each.id for each in suite.cases if each.is_static] == ["glm/check"]
    by_id = {each.id: each for each in suite.cases}
    assert by_id["glm/load"].needs == ()
    assert by_id["glm/answer-zh"].needs == ("glm/load",)
    assert by_id["glm/language-zh"].follows == ("glm/answer-zh",)


def test_an_embedding_model_has_its_own_cases_and_a_completion_model_no_language() -> None:
    assert ids(planned(ours("bert", kind="embedding")))[3:6] == [
        "bert/embedding", "bert/stable", "bert/similarity",
    ]  # fmt: skip
    assert ids(planned(ours("base", kind="completion")))[3:5] == [
        "base/answer-zh", "base/answer-en",
    ]  # fmt: skip


def test_anothers_server_is_reached_and_its_memory_left_alone() -> None:
    assert ids(planned(far("xin"))) == [
        "xin/reach", "xin/answer-zh", "xin/language-zh", "xin/answer-en", "xin/language-en",
    ]  # fmt: skip


def test_a_model_that_is_elsewhere_is_not_looked_at_again_and_again() -> None:
    assert "glm/memory-steady" not in ids(planned(ours("glm", is_here=False)))
    assert "glm/memory" in ids(planned(ours("glm", is_here=False)))


def test_a_refused_model_is_not_loaded_and_an_unknown_one_only_checked() -> None:
    refused = Verdict(problem=Problem(cause="no"))
    able = Examined(subject=subject("a", is_ours=True), check=refused, is_able=False)
    suite = planned(able)
    assert suite.cases[1].needs == ("a/check",)
    unknown = Examined(subject=subject("a", kind=None), check=refused, is_able=False)
    assert ids(planned(unknown)) == ["a/check"]


def test_an_interrupted_check_is_a_case_without_a_verdict() -> None:
    tested = Examined(subject=subject("a", kind=None), is_unchecked=True, is_able=False)
    (case,) = planned(tested).cases
    assert (case.id, case.verdict, case.body) == ("a/check", None, None)


def test_every_member_of_a_chain_is_judged_by_the_roles_acceptance(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROMPTS)
    acceptance = Acceptance(
        answer_seconds=9, first_token_seconds=1, languages=("en",), prompts=("p.yaml",)
    )
    role = RoleSettings(name="talk", chain=("glm", "xin"), acceptance=acceptance)
    suite = planned(ours("glm"), far("xin"), roles=(role,), folder=tmp_path)
    own = ["answer-en", "begin-en", "language-en", "p/greet"]
    assert ids(suite) == [
        "glm/check", "glm/load", "glm/memory", *(f"talk/glm/{key}" for key in own),
        "glm/memory-steady", "xin/reach", *(f"talk/xin/{key}" for key in own), "talk/answers",
    ]  # fmt: skip
    assert [each.id for each in suite.subjects] == ["glm", "talk/glm", "xin", "talk/xin", "talk"]
    answer = next(each for each in suite.cases if each.id == "talk/glm/answer-en")
    assert (answer.title, answer.needs) == (
        "a whole answer in 9 s, asked in English",
        ("glm/load",),
    )


async def test_an_unknown_language_is_skipped_and_not_failed() -> None:
    role = RoleSettings(name="talk", chain=("glm",), acceptance=Acceptance(languages=("sw",)))
    suite = planned(ours("glm"), roles=(role,))
    work = Run([each for each in suite.cases if each.id == "talk/glm/answer-sw"])
    await work.carry_out(FakeService())
    assert work.results[0].state == "skipped"
    assert "talk/glm/language-sw" not in ids(suite)


async def test_the_planned_cases_can_be_carried_out(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROMPTS)
    role = RoleSettings(name="talk", chain=("glm",), acceptance=Acceptance(first_token_seconds=1))
    tested = (ours("glm"), ours("bert", kind="embedding"), far("base", "completion"))
    suite = planned(
        *tested, roles=(role,), prompts=(tmp_path / "p.yaml",), compared=(("glm", "base"),)
    )
    work = Run([each for each in suite.cases if each.key != "similarity"])
    answers = {"glm": {"": "I am it"}, "base": {"": "I am it"}, "talk": {"": "I am it"}}
    await work.carry_out(FakeService(answers))
    states = {each.case.id: each.state for each in work.results if each.state != "passed"}
    assert states == {
        # The fake says nothing of memory, and speaks no Chinese.
        "glm/memory": "skipped", "glm/memory-steady": "skipped", "bert/memory": "skipped",
        "bert/memory-steady": "skipped", "talk/glm/language-zh": "failed",
    }  # fmt: skip


def test_what_is_compared_must_be_tested_and_answer_the_same_requests() -> None:
    suite = planned(ours("a"), far("b"), compared=(("a", "b"),))
    assert suite.cases[-1].id == "a~b/compare"
    assert suite.cases[-1].needs == ("a/load", "b/reach")
    with pytest.raises(ConfigError, match="`x` is to be compared and is not among what is tested"):
        planned(ours("a"), compared=(("a", "x"),))
    with pytest.raises(ConfigError, match="`a` is chat and `b` is embedding"):
        planned(ours("a"), ours("b", kind="embedding"), compared=(("a", "b"),))


def test_a_role_is_compared_with_the_name_of_its_acceptance() -> None:
    acceptance = Acceptance(compare_with="b")
    role = RoleSettings(name="r", chain=("a",), acceptance=acceptance, place="c.yaml:9: roles.r")
    suite = planned(ours("a"), ours("b"), roles=(role,))
    assert suite.cases[-1].id == "r/compare-b"
    with pytest.raises(ConfigError) as caught:
        planned(ours("a"), roles=(role,))
    assert caught.value.where == "c.yaml:9: roles.r"


def test_every_kind_of_case_is_in_the_documentation(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROMPTS)
    acceptance = Acceptance(first_token_seconds=1, compare_with="a", prompts=("p.yaml",))
    role = RoleSettings(name="r", chain=("a",), acceptance=acceptance)
    tested = (ours("a"), ours("b", kind="embedding"), far("c"))
    suite = planned(*tested, roles=(role,), folder=tmp_path, compared=(("a", "c"),))
    documented = re.findall(r"`([\w/-]+)`", TABLE.read_text(encoding="utf-8"))
    names = {"p/greet": "FILE/ID", "compare-a": "compare-NAME"}
    keys = {names.get(case.key, case.key) for case in suite.cases}
    assert keys - {"language-en", "begin-en"} <= set(documented)


def test_two_cases_never_share_an_id(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "p.yaml").write_text(PROMPTS)
    with pytest.raises(ConfigError, match="two cases are called `glm/p/greet`"):
        planned(ours("glm"), prompts=(tmp_path / "a/p.yaml", tmp_path / "b/p.yaml"))


def test_a_narrowed_plan_keeps_the_subjects_of_its_cases() -> None:
    suite = planned(ours("a"), ours("b"))
    narrow = suite.narrowed(suite.cases[:2])
    assert [each.id for each in narrow.subjects] == ["a"]
