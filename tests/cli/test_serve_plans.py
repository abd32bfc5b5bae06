from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.adapt.own_model import own_plan, small_tensors, write_small
from tests.homes import home_at
from trueup.adapt.plan import Plan
from trueup.cli.serve_plans import plan_models
from trueup.config.settings import ModelSettings
from trueup.errors import AdaptError

UNBUILT = {"is_ours": True, "lock": None, "is_built": False, "command": "trueup env build m"}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("TRUEUP_HOME", home_at(tmp_path / "home"))
    directory = write_small(tmp_path / "m", small_tensors())
    return own_plan(directory, route="isolated", environment=UNBUILT)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The environments that were built, by what they were planned as."""
    done: list[str] = []

    def build(planned: str, *, tell: Any) -> None:
        tell("building")
        done.append(planned)

    monkeypatch.setattr("trueup.adapt.isolate.build.build_environment", build)
    monkeypatch.setattr(
        "trueup.adapt.isolate.planned.planned_environment", lambda *_: SimpleNamespace()
    )
    return done


def planned(
    monkeypatch: pytest.MonkeyPatch, built: list[str], plan: Plan, *, builds: Any
) -> dict[str, Plan]:
    def plan_with_facts(*_: Any, **__: Any) -> Any:
        environment = {**(plan.environment or {}), "is_built": bool(built)}
        made = replace(plan, environment=environment if plan.environment else None)
        return SimpleNamespace(plan=made, checkpoint=None, environment=None)

    monkeypatch.setattr("trueup.adapt.planning.plan_with_facts", plan_with_facts)
    return plan_models([ModelSettings(name="m", source="m")], builds=builds)


def test_a_preload_builds_what_is_missing_and_serves_the_new_plan(
    plan: Plan, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    found = planned(monkeypatch, built, plan, builds=told.append)["m"]
    assert (len(built), told) == (1, ["environment of `m`: building"])
    assert found.environment is not None
    assert found.environment["is_built"]


@pytest.mark.parametrize(
    "changes",
    [
        {"consent": "needed"},
        {"route": "refused"},
        {"route": "fixed", "environment": None},
        {"environment": {"is_ours": False, "interpreter": "/usr/bin/python"}},
    ],
)
def test_nothing_is_built_without_consent_or_need(
    changes: dict[str, Any], plan: Plan, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(monkeypatch, built, replace(plan, **changes), builds=print)
    assert built == []


def test_without_a_preload_nothing_is_built(
    plan: Plan, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(monkeypatch, built, plan, builds=None)
    assert built == []


def test_an_environment_that_cannot_be_built_is_told_and_the_plan_stays(
    plan: Plan, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AdaptError("no wheel of `x` fits", where="wheels")

    monkeypatch.setattr("trueup.adapt.isolate.build.build_environment", fail)
    told: list[str] = []
    found = planned(monkeypatch, built, plan, builds=told.append)["m"]
    assert told == ["environment of `m`: it cannot be built: no wheel of `x` fits (wheels)"]
    assert found.environment == UNBUILT
