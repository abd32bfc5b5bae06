from __future__ import annotations

from typing import Any

import pytest

from tests.suite.fake_service import FakeService
from trueup.suite import model_cases
from trueup.suite.case import Verdict
from trueup.suite.criteria import Criteria
from trueup.suite.model_cases import check_verdict, keeps_memory, loads, takes_memory
from trueup.suite.service import MemoryUsed

MIB = 2**20
PLAN = {"device": "cpu", "memory": {"weights_bytes": 100 * MIB, "overhead_bytes": 100 * MIB}}


def finding(code: str = "TOK104", **changes: Any) -> dict[str, Any]:
    shape = {
        "code": code,
        "severity": "error",
        "stage": "tokenizer",
        "cause": "it breaks",
        "where": {"path": "modeling.py", "line": 7, "key": None},
        "since": "4.45.0",
        "hint": "mend it",
        "blocks": ["fixed"],
        "avoided": True,
    }
    return {**shape, **changes}


def report(
    *findings: dict[str, Any],
    route: str = "native",
    why: Any = (),
    implementation: str | None = "transformers.Glm",
    transformers: str = "5.23.0",
    is_assumed: bool = False,
) -> dict[str, Any]:
    return {
        "model": {
            "source": "org/m",
            "directory": "/models/m",
            "model_type": "glm",
            "has_own_code": True,
        },
        "environment": {"transformers": transformers, "is_assumed": is_assumed},
        "plan": {
            "route": route,
            "why": list(why),
            "family": "glm",
            "implementation": implementation,
        },
        "findings": list(findings),
    }


def test_a_route_that_avoids_all_findings_passes_and_says_which() -> None:
    verdict = check_verdict(report(finding(), finding("CFG101"), finding()))
    assert verdict.problem is None
    assert verdict.notes == ("the native route avoids TOK104, CFG101",)
    assert verdict.details["avoided"] == ["TOK104", "CFG101"]


def test_what_closes_every_route_fails_with_its_file_and_line() -> None:
    closing = finding("DIR107", blocks=["native", "fixed"], avoided=False)
    verdict = check_verdict(report(finding(avoided=False), closing, route="refused"))
    problem = verdict.problem
    assert problem is not None
    assert problem.cause == "DIR107: it breaks (since transformers 4.45.0)"
    assert problem.where is not None
    assert (problem.where.path, problem.where.line) == ("/models/m/modeling.py", 7)
    assert problem.where.text == "/models/m/modeling.py:7"
    assert problem.hint == "mend it"


def test_a_refusal_without_a_finding_fails_with_the_plans_reason() -> None:
    verdict = check_verdict(report(route="refused", why=["too large", "too old"]))
    assert verdict.problem is not None
    assert verdict.problem.cause == "too large; too old"
    assert verdict.problem.hint == "trueup check org/m"


def told(verdict: Verdict) -> list[str]:
    """The causes, the first one and the others."""
    assert verdict.problem is not None
    return [each.cause.partition(" (since")[0] for each in (verdict.problem, *verdict.more)]


def test_everything_that_is_in_the_way_is_told() -> None:
    whole = [finding("DIR1", avoided=False, blocks=["native"]) for _ in range(2)]
    whole.append(finding("DIR2", avoided=False, blocks=["native"]))
    own = finding("IMP101", avoided=False)
    why = ["DIR1: it breaks (modeling.py:7)", "DIR2: it breaks (modeling.py:7)", "too large"]
    verdict = check_verdict(report(own, *whole, route="refused", why=why))
    assert told(verdict) == ["DIR1: it breaks", "DIR1: it breaks", "DIR2: it breaks", "too large"]
    met = check_verdict(report(*(finding(code, avoided=False) for code in ("A1", "B1"))))
    assert told(met) == ["A1: it breaks", "B1: it breaks"]


def test_what_the_models_own_code_meets_is_told_where_no_route_avoids_it() -> None:
    own = finding("IMP101", avoided=False)
    why = ["the architecture `foo` is not mapped"]
    verdict = check_verdict(report(own, route="refused", why=why, implementation=None))
    assert told(verdict) == ["IMP101: it breaks", "the architecture `foo` is not mapped"]
    assert verdict.problem is not None
    assert verdict.problem.where is not None
    assert verdict.problem.where.text == "/models/m/modeling.py:7"


def test_a_version_too_old_comes_before_what_breaks_on_it() -> None:
    shape = report(
        finding("IMP101", avoided=False),
        route="refused", why=["too old"], implementation=None, transformers="4.49.0",
    )  # fmt: skip
    verdict = check_verdict(shape)
    assert told(verdict) == ["too old", "IMP101: it breaks"]
    assert verdict.problem is not None
    assert verdict.problem.hint == "pip install 'transformers>=4.56'"


def test_the_command_to_look_closer_is_about_the_same_release() -> None:
    shape = report(route="refused", why=["too large"], transformers="5.1.0", is_assumed=True)
    verdict = check_verdict(shape)
    assert verdict.problem is not None
    assert verdict.problem.hint == "trueup check org/m --transformers 5.1.0"


def test_an_error_that_the_route_meets_fails_and_a_warning_is_a_note() -> None:
    met = finding("LOAD1", avoided=False, where={"path": None, "line": None, "key": "a.b"})
    verdict = check_verdict(report(met))
    assert verdict.problem is not None
    assert verdict.problem.where is not None
    assert verdict.problem.where.text == "/models/m: a.b"
    warned = check_verdict(report(finding("W1", avoided=False, severity="warning")))
    assert warned.problem is None
    assert warned.notes == ("W1: it breaks",)


@pytest.mark.parametrize("kind", ["chat", "completion", "embedding", "forecast"])
async def test_loading_is_the_first_request_of_the_models_kind(kind: str) -> None:
    service = FakeService({"m": {"": "x"}})
    verdict = await loads(service, "m", kind)
    assert verdict.problem is None
    assert verdict.figures[0].name == "load"
    assert len(service.asked) == 1
    assert service.max_tokens == ([] if kind in ("embedding", "forecast") else [1])


async def test_a_load_that_fails_says_so_at_the_models_directory() -> None:
    known = await loads(FakeService(), "m", "chat", directory="/models/m")
    assert known.problem is not None
    assert (known.problem.cause, known.problem.hint) == ("`m` cannot be loaded", "mend it")
    assert known.problem.where is not None
    assert known.problem.where.text == "/models/m"
    unknown = await loads(FakeService(), "m", "chat")
    assert unknown.problem is not None
    assert unknown.problem.where is not None
    assert unknown.problem.where.text == "here"


async def test_a_load_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cases, "LOAD_SECONDS", 0.0)
    verdict = await loads(FakeService({"m": {}}, hangs=True), "m", "chat")
    assert verdict.problem is not None
    assert verdict.problem.cause == "there was no answer within 0 s"


async def measured(host: int | None, device: int | None, plan: Any = PLAN, **limits: int) -> Any:
    service = FakeService(memories=[MemoryUsed(host_private_bytes=host, device_bytes=device)])
    return await takes_memory(service, "m", plan, [Criteria(**limits), Criteria()])  # type: ignore[arg-type]


async def test_memory_keeps_to_what_the_plan_foretold_with_an_allowance() -> None:
    assert (await measured(360 * MIB, None)).problem is None
    over = await measured(380 * MIB, None)
    assert "0.37 GiB of memory (host, private), expected 0.36 GiB or less" in over.problem.cause


async def test_memory_keeps_to_the_roles_limits_host_and_device_apart() -> None:
    verdict = await measured(
        500 * MIB, 90 * MIB, host_memory_bytes=600 * MIB, device_memory_bytes=80 * MIB
    )
    host, device = verdict.figures
    assert (host.name, host.limit, host.is_met) == ("host, private", 600 * MIB, True)
    assert (device.name, device.limit, device.is_met) == ("device", 80 * MIB, False)
    assert "(device)" in verdict.problem.cause
    assert "(host, private)" not in verdict.problem.cause


async def test_on_a_gpu_the_plan_is_about_the_devices_memory() -> None:
    verdict = await measured(5000 * MIB, 380 * MIB, plan={**PLAN, "device": "cuda:0"})
    host, device = verdict.figures
    assert host.limit is None
    assert not device.is_met


async def test_memory_that_nobody_tells_is_skipped() -> None:
    assert (await measured(None, None)).unable is not None
    unknown = await keeps_memory(FakeService({"m": {}}), "m", "chat")
    assert unknown.unable is not None


@pytest.mark.parametrize(("late", "is_kept"), [(430 * MIB, True), (450 * MIB, False)])
async def test_repeated_requests_may_not_take_more_and_more_memory(
    late: int, is_kept: bool
) -> None:
    memories: list[MemoryUsed | None] = [
        MemoryUsed(host_private_bytes=400 * MIB, device_bytes=7),
        MemoryUsed(host_private_bytes=late, device_bytes=7),
    ]
    service = FakeService({"m": {"": "x"}}, memories=memories)
    verdict = await keeps_memory(service, "m", "chat")
    assert (verdict.problem is None) is is_kept
    assert [each.name for each in verdict.figures] == ["host, private", "device"]
    assert len(service.asked) == 10
    if verdict.problem is not None:
        assert verdict.problem.cause.startswith("8 requests left 50 MiB more (host, private)")
