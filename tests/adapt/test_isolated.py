from __future__ import annotations

import ast
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from tests.adapt.facts import MODERN, ROOMY
from tests.adapt.isolate.planned_facts import write_distribution
from tests.homes import home_at
from trueup.adapt.isolate import planned
from trueup.adapt.isolate.own_packages import packages_of
from trueup.adapt.isolate.planned import planned_environment
from trueup.adapt.planning import Wishes, make_plan
from trueup.adapt.wishes import check_wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.doctor.finding import Finding
from trueup.errors import ConfigError

ISOLATED = Wishes(route="isolated")
# Needed by the model's own code whatever route it takes.
HERE = replace(
    MODERN,
    packages={**MODERN.packages, "sentencepiece": "0.2.3", "numpy": "2.4.6"},
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUEUP_HOME", home_at(tmp_path / "home"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """The demo's, as if it had been published with 4.41.2."""
    checkpoint = read_checkpoint(resolve("demo"))
    return replace(checkpoint, config={**checkpoint.config, "transformers_version": "4.41.2"})


def users_environment(folder: Path, *, python: str = "3.11.7", **packages: str) -> str:
    """An environment of a user as it lies on the disk; nothing of it runs."""
    short = ".".join(python.split(".")[:2])
    site = folder / "lib" / f"python{short}" / "site-packages"
    for name, version in packages.items():
        write_distribution(site, name, version, {})
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {python}\n")
    return str(folder)


def test_the_plan_has_what_will_be_built_and_needs_consent(checkpoint: Checkpoint) -> None:
    plan = make_plan(checkpoint, HERE, ROOMY, (), ISOLATED)
    assert (plan.route, plan.consent) == ("isolated", "needed")
    assert plan.implementation == "modeling_chatglm.ChatGLMForConditionalGeneration"
    assert plan.environment is not None
    assert plan.environment["transformers"] == "4.41.2"
    assert not plan.environment["is_built"]
    assert "transformers==4.41.2" in plan.environment["packages"]
    assert "4.41.2, with which it should work" in plan.why[0]
    assert any("not built yet" in why for why in plan.why)
    assert any(caveat.code == "ONE-AT-A-TIME" for caveat in plan.caveats)


def test_what_the_models_own_code_meets_here_is_avoided(checkpoint: Checkpoint) -> None:
    broken = Finding(
        code="TOK104", severity="error", stage="tokenizer", cause="_pad", blocks=("fixed",)
    )
    plan = make_plan(checkpoint, HERE, ROOMY, (broken,), ISOLATED)
    assert plan.findings == ("TOK104",)


def test_a_finding_that_closes_every_route_closes_it_before_anything_is_looked_for(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned, "Judge", None)
    missing = Finding(
        code="DIR103",
        severity="error",
        stage="load",
        cause="a shard is missing",
        blocks=("native", "fixed", "isolated"),
    )
    plan = make_plan(checkpoint, HERE, ROOMY, (missing,), ISOLATED)
    assert plan.route == "refused"
    assert plan.why[0] == "DIR103: a shard is missing"


def test_no_release_is_looked_for_where_the_native_route_will_do(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned, "Judge", None)
    assert make_plan(checkpoint, HERE, ROOMY, ()).route == "native"


def test_a_release_with_a_known_vulnerability_is_a_caveat_where_no_other_will_do(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(release: Version) -> tuple[str, ...]:
        if release.release[:2] == (4, 57):
            return ()
        return ("IMP101",) if release.major == 4 else ("LOAD102",)

    monkeypatch.setattr(planned, "Judge", lambda *_: judge)
    plan = make_plan(checkpoint, HERE, ROOMY, (), ISOLATED)
    told = [caveat.text for caveat in plan.caveats if caveat.code == "ADVISORY"]
    assert len(told) == 2
    assert "transformers 4.57.6 has CVE-2026-4372, and no release without one" in told[0]


def test_of_an_environment_of_the_users_it_is_not_said_that_no_other_will_do(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    python = users_environment(
        tmp_path / "env", torch="2.6.0", transformers="4.30.2", sentencepiece="0.2.0"
    )
    plan = make_plan(checkpoint, HERE, ROOMY, (), replace(ISOLATED, python=python))
    (told,) = [caveat.text for caveat in plan.caveats if caveat.code == "ADVISORY"]
    assert told.startswith("transformers 4.30.2 has CVE-2023-7018: a tokenizer_config.json")


def test_a_package_that_is_not_known_is_never_installed(checkpoint: Checkpoint) -> None:
    name = "modeling_chatglm.py"
    module = checkpoint.remote_code[name]
    source = f"import surely_no_package\nimport einops\n{module.source}"
    changed = replace(module, source=source, tree=ast.parse(source))
    code = {**checkpoint.remote_code, name: changed}
    known, unknown = packages_of(replace(checkpoint, remote_code=code))
    assert "einops" in known
    assert unknown == ("surely_no_package",)
    plan = make_plan(replace(checkpoint, remote_code=code), HERE, ROOMY, (), ISOLATED)
    assert plan.route == "refused"
    assert "ENV102" in plan.why[0]
    assert "no package that it does not know, as `surely_no_package`" in plan.why[0]
    assert "--isolated-python" in plan.why[0]


@pytest.mark.parametrize(
    ("path", "line", "told"),
    [
        ("modeling_chatglm.py", "import (", "invalid syntax (modeling_chatglm.py:1)"),
        (
            "modeling_chatglm.py",
            "from transformers.utils import no_such",
            "(modeling_chatglm.py:1)",
        ),
        ("configuration_chatglm.py", None, "`configuration_chatglm.py` is missing"),
    ],
)
def test_where_no_release_will_do_it_is_said_what_is_met_and_where(
    path: str, line: str | None, told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(resolve("demo").directory, folder)
    if line is None:
        (folder / path).unlink()
    else:
        source = (folder / path).read_text(encoding="utf-8")
        (folder / path).write_text(f"{line}\n{source}", encoding="utf-8")
    reason = planned_environment(read_checkpoint(resolve(str(folder))), HERE)
    assert isinstance(reason, str)
    assert "as with every other it meets" in reason
    assert told in reason


def test_an_environment_of_the_users_is_taken_where_the_model_should_work_in_it(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    python = users_environment(
        tmp_path / "env", torch="2.6.0", transformers="4.41.2", sentencepiece="0.2.0"
    )
    plan = make_plan(checkpoint, HERE, ROOMY, (), replace(ISOLATED, python=python))
    assert plan.route == "isolated"
    assert plan.environment is not None
    assert plan.environment["interpreter"] == str(tmp_path / "env" / "bin" / "python")
    assert (plan.environment["is_ours"], plan.environment["is_built"]) == (False, True)
    assert plan.environment["packages"]["torch"] == "2.6.0"


@pytest.mark.parametrize(
    ("python", "packages", "reason"),
    [
        ("3.9.2", {"torch": "2.6.0", "transformers": "4.41.2"}, "is Python 3.9.2"),
        ("3.11.7", {"transformers": "4.41.2"}, "lacks `torch`"),
        ("3.11.7", {"torch": "2.6.0"}, "lacks `transformers`"),
        ("3.11.7", {"torch": "2.6.0", "transformers": "4.20.0"}, "expected 4.27.0 or newer"),
        ("3.11.7", {"torch": "2.6.0", "transformers": "5.23.0"}, "LOAD"),
    ],
)
def test_an_environment_of_the_users_in_which_it_would_fail_is_refused_with_what_it_meets(
    python: str, packages: dict[str, str], reason: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = users_environment(tmp_path / "env", python=python, sentencepiece="0.2.0", **packages)
    plan = make_plan(checkpoint, HERE, ROOMY, (), replace(ISOLATED, python=path))
    assert plan.route == "refused"
    assert any(reason in why for why in plan.why)
    assert all(path in why for why in plan.why[:1])


def test_a_path_without_an_interpreter_is_refused(checkpoint: Checkpoint) -> None:
    plan = make_plan(checkpoint, HERE, ROOMY, (), replace(ISOLATED, python="/nowhere"))
    assert plan.route == "refused"
    assert plan.why[0].startswith("`python: /nowhere`")


@pytest.mark.parametrize("route", ["native", "fixed"])
def test_an_interpreter_for_another_route_is_a_mistake(route: str) -> None:
    with pytest.raises(ConfigError, match="for the route `isolated`"):
        check_wishes(Wishes(route=route, python="/env"), None)


def test_a_model_without_code_has_nothing_to_isolate(checkpoint: Checkpoint) -> None:
    bare = replace(checkpoint, auto_map={}, remote_code={})
    assert make_plan(bare, HERE, ROOMY, (), ISOLATED).route == "refused"
