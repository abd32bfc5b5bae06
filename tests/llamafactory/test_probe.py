"""`trueup backends check`: each cause is made, and told at its own step by its own status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.llamafactory.conftest import Models
from tests.llamafactory.worker import FAKE
from tests.sshd import Sshd, sshd
from trueup.backends.llamafactory.opening import place_of
from trueup.backends.llamafactory.probe import Step, probe
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.errors import ConfigError

MISMATCH = 'raise RuntimeError("operator torchvision::nms does not exist")\n'


class Place:
    """A directory with an environment of the stand-in, a base model, an adapter and a script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("base", "adapter", "bare", "work"):
            (folder / name).mkdir()
        (folder / "base" / "config.json").write_text("{}")
        (folder / "adapter" / "adapter_config.json").write_text("{}")
        (folder / "work" / "mine.py").touch()
        self.environment("env", FAKE)
        self.environment("empty", folder / "bare")

    def environment(self, name: str, packages: Path) -> Path:
        """An environment's folder whose interpreter finds these packages."""
        programs = self.folder / name / "bin"
        programs.mkdir(parents=True)
        start = f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} "$@"\n'
        for program in ("python", "llamafactory-cli"):
            (programs / program).write_text(start)
            (programs / program).chmod(0o755)
        return self.folder / name

    def settings(self, **more: Any) -> LlamaFactorySettings:
        told = {
            "name": "tuned",
            "base_model_path": str(self.folder / "base"),
            "adapter_path": str(self.folder / "adapter"),
            "template": "qwen",
            "python": str(self.folder / "env"),
            "work_dir": str(self.folder / "work"),
        }
        return LlamaFactorySettings(**{**told, **more})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return Place(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


async def steps_of(settings: LlamaFactorySettings) -> list[Step]:
    settings, host, root = place_of(settings)
    try:
        return [step async for step in probe(settings, host, root)]
    finally:
        await host.close()


async def test_a_model_that_has_all_it_needs(place: Place) -> None:
    steps = await steps_of(place.settings(script_path="mine.py"))
    assert {step.state for step in steps} == {"ok"}
    assert [step.name for step in steps] == [
        "worker's file", "working directory", "environment", "interpreter", "llamafactory",
        "versions", "command line", "base model", "adapter", "template", "script",
    ]  # fmt: skip


ROWS: list[tuple[dict[str, Any], str, int, str]] = [
    ({"work_dir": "{}/none"}, "working directory", 41, "none` does not exist on this machine"),
    ({"python": None, "conda_env": "none"}, "environment", 44, "no conda environment `none`"),
    ({"python": "{}/none"}, "interpreter", 45, "no interpreter `"),
    ({"python": "{}/empty"}, "llamafactory", 43, "cannot import llamafactory"),
    ({"python": "{}/mismatched"}, "llamafactory", 43, "torchvision does not match torch"),
    ({"python": "/bin/false"}, "interpreter", 1, "did not start (status 1)"),
    ({"cli_path": "{}/none-cli"}, "command line", 42, "none-cli` was not found on this machine"),
    ({"base_model_path": "{}/none"}, "base model", 46, "none` not found on this machine"),
    ({"base_model_path": "{}/bare"}, "base model", 46, "bare` not found on this machine"),
    ({"adapter_path": "{}/none"}, "adapter", 49, "none` does not exist"),
    ({"adapter_path": "{}/bare"}, "adapter", 49, "has no adapter_config.json"),
    ({"template": "qwen4"}, "template", 50, "template `qwen4` does not exist"),
    ({"script_path": "none.py"}, "script", 51, "script `none.py` does not exist"),
]


@pytest.mark.parametrize(("more", "name", "status", "said"), ROWS)
async def test_what_is_missing_is_told_at_its_step(
    place: Place, more: dict[str, Any], name: str, status: int, said: str
) -> None:
    (place.folder / "broken" / "llamafactory").mkdir(parents=True)
    (place.folder / "broken" / "llamafactory" / "__init__.py").write_text(MISMATCH)
    place.environment("mismatched", place.folder / "broken")
    more = {key: value and value.format(place.folder) for key, value in more.items()}
    steps = await steps_of(place.settings(**more))
    failed = [step for step in steps if step.state == "failed"]
    assert [(step.name, step.status) for step in failed] == [(name, status)]
    assert said in failed[0].detail
    assert failed[0].hint or status == 1
    # What can be looked at without it is looked at.
    states = {step.name: step.state for step in steps}
    if status > 42 and name not in ("environment", "interpreter"):
        assert states["base model"] in ("ok", "failed")


async def test_a_name_of_others_is_a_warning_and_a_missing_command_too(place: Place) -> None:
    (place.folder / "env" / "bin" / "llamafactory-cli").unlink()
    settings = place.settings(template="qwen2", mode="script")
    warned = {step.name for step in await steps_of(settings) if step.state == "warning"}
    assert warned == {"command line", "template"}
    failed = {step.name for step in await steps_of(replace(settings, mode="cli"))
              if step.state == "failed"}  # fmt: skip
    assert failed == {"command line"}


async def test_the_way_over_ssh_has_steps_of_its_own(
    place: Place, server: Sshd, tmp_path: Path
) -> None:
    steps = await steps_of(place.settings(ssh=server.settings))
    assert {step.state for step in steps} == {"ok"}
    assert [step.name for step in steps[:4]] == ["host name", "connection", "host key", "sign-in"]
    ways = {
        "host name": replace(server.settings, host="no-such-host.invalid"),
        "connection": replace(server.settings, port=1),
        "host key": replace(server.settings, known_hosts=str(tmp_path / "none")),
        "sign-in": replace(server.settings, key=str(tmp_path / "none")),
    }
    for at, (name, way) in enumerate(ways.items()):
        steps = await steps_of(place.settings(ssh=way))
        assert [step.state for step in steps[: at + 1]] == ["ok"] * at + ["failed"]
        assert steps[at].name == name
        assert {step.state for step in steps[at + 1 :]} == {"skipped"}
        assert name != "host key" or "trust-host tuned" in str(steps[at].hint)


def test_the_command_prints_each_step(place: Place) -> None:
    file = place.folder / "trueup.yaml"
    entry = {"preset": "llamafactory", "python": str(place.folder / "env")}
    entry["base_model_path"] = str(place.folder / "base")
    entries = {"good": entry, "bad": {**entry, "template": "qwem"}}
    file.write_text(json.dumps({"config_version": 1, "backends": entries}))
    command = [sys.executable, "-m", "trueup", "backends", "check", "--config", str(file)]

    def check(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=120, env=os.environ
        )

    found = check("bad")
    assert found.returncode == 1, found.stderr
    assert found.stdout.startswith("bad: LlamaFactory on this machine\n")
    assert "FAILED   template" in found.stdout
    assert "(status 50)" in found.stdout
    assert "did you mean `qwen`" in found.stdout
    found = check("good", "--format", "json")
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    assert (report["schema_version"], report["name"]) == (1, "good")
    assert {step["state"] for step in report["steps"]} == {"ok"}


@pytest.mark.llamafactory
async def test_the_real_one_tells_its_versions_and_its_nearest_template(
    llamafactory_python: Path, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    settings = LlamaFactorySettings(
        name="tuned",
        base_model_path=str(models.base),
        adapter_path=str(models.adapter),
        template="qwen-3",
        python=str(llamafactory_python),
    )
    steps = {step.name: step for step in await steps_of(settings)}
    assert [name for name, step in steps.items() if step.state != "ok"] == ["template"]
    assert "`qwen3`" in str(steps["template"].hint)
    assert "llamafactory 0.9.5, transformers 5.6.0" in steps["versions"].detail
    assert steps["command line"].detail.endswith("/bin/llamafactory-cli")


def test_without_asyncssh_the_extra_is_named(
    place: Place, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith("trueup.backends.hosts.ssh")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(ConfigError, match="asyncssh") as caught:
        place_of(place.settings(ssh=server.settings))
    assert caught.value.hint == "pip install 'trueup[ssh]'"
