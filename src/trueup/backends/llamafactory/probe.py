"""What stands between a configured model and its first answer, step by step; loads no model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from trueup.backends.hosts.host import Finished, Host
from trueup.backends.hosts.known_hosts import known_hosts_file
from trueup.backends.llamafactory.far.lines import message_of
from trueup.backends.llamafactory.faults import Faults
from trueup.backends.llamafactory.link import Way
from trueup.backends.llamafactory.place import (
    NO_DIRECTORY,
    NO_ENVIRONMENT,
    NO_PYTHON,
    probe_command,
    probe_spec,
)
from trueup.backends.llamafactory.templates import warning_of
from trueup.config.llamafactory_settings import HostSettings, LlamaFactorySettings
from trueup.errors import ConfigError, TrueUpError

State = Literal["ok", "warning", "failed", "skipped"]
# Its imports take a quarter of a minute on a good disk.
PROBE_SECONDS = 300.0
# The way there, and at which of its steps each error is one.
WAY: Mapping[str, tuple[str, ...]] = {
    "host name": ("ssh_host_unknown",),
    "connection": ("ssh_refused", "ssh_timeout", "ssh_protocol", "ssh_jump"),
    "host key": ("ssh_host_key",),
    "sign-in": ("ssh_auth",),
}
ENTERING: Mapping[str, int] = {
    "working directory": NO_DIRECTORY,
    "environment": NO_ENVIRONMENT,
    "interpreter": NO_PYTHON,
}
THERE = ("llamafactory", "versions", "command line", "base model", "adapter", "template", "script")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was looked at; `status` is the exit status that told of its failure."""

    name: str
    state: State
    detail: str = ""
    hint: str | None = None
    status: int = 0


async def probe(settings: LlamaFactorySettings, host: Host, root: str) -> AsyncIterator[Step]:
    """Each step as soon as it is known; after one that others need, those are skipped."""
    faults = Faults(settings, host.name)
    folder = None
    trouble: TrueUpError | None = None
    try:
        folder = await Way(settings, host, root, faults).deployed()
    except TrueUpError as error:
        trouble = error
    if settings.ssh is not None:
        for step in _way_steps(settings, settings.ssh, trouble):
            yield step
    if folder is None:
        if trouble is not None and _place(trouble) is None:
            yield _failed("worker's file", trouble)
        for name in (*ENTERING, *_wanted(settings)):
            yield Step(name=name, state="skipped")
        return
    yield Step(name="worker's file", state="ok", detail=folder)
    try:
        finished = await host.run(
            probe_command(settings, folder),
            stdin=orjson.dumps(probe_spec(settings)) + b"\n",
            seconds=PROBE_SECONDS,
        )
    except TrueUpError as error:
        yield _failed("command", error)
        return
    for step in _steps_there(settings, finished, faults):
        yield step


def _place(error: TrueUpError) -> str | None:
    """The step of the way at which an error is one; None for one that is of none."""
    if isinstance(error, ConfigError):
        return "connection"
    code = getattr(error, "code", "")
    return next((name for name, codes in WAY.items() if code in codes), None)


def _way_steps(
    settings: LlamaFactorySettings, ssh: HostSettings, trouble: TrueUpError | None
) -> list[Step]:
    at = None if trouble is None else _place(trouble)
    through = f" through {ssh.proxy_jump}" if ssh.proxy_jump else ""
    details = {
        "host name": ssh.host,
        "connection": f"port {ssh.port or 'as usual'}{through}",
        "host key": f"known in {known_hosts_file(ssh)}",
        "sign-in": ssh.user or "as the user here",
    }
    steps: list[Step] = []
    for name in WAY:
        if trouble is not None and name == at:
            failed = _failed(name, trouble)
            hint = failed.hint and failed.hint.replace("-host NAME", f"-host {settings.name}")
            steps.append(replace(failed, hint=hint))
        elif steps and steps[-1].state in ("failed", "skipped"):
            steps.append(Step(name=name, state="skipped"))
        else:
            steps.append(Step(name=name, state="ok", detail=details[name]))
    return steps


def _steps_there(settings: LlamaFactorySettings, finished: Finished, faults: Faults) -> list[Step]:
    """What the far side told; what it did not get to is skipped."""
    told = {
        str(each["step"]): each for each in map(message_of, finished.stdout.splitlines()) if each
    }
    steps: list[Step] = []
    for name, status in ENTERING.items():
        if not told and finished.status == status:
            steps.append(_failed(name, faults.of_command(finished), status))
        elif steps and steps[-1].state in ("failed", "skipped"):
            steps.append(Step(name=name, state="skipped"))
        else:
            steps.append(_ok(name, told.get(name, {}), settings))
    is_inside = all(step.state == "ok" for step in steps)
    if is_inside and not told:
        # It ended before it could say anything: an interpreter that cannot run our file.
        steps[-1] = _failed("interpreter", faults.of_command(finished), finished.status)
    for name in _wanted(settings):
        if (event := told.get(name)) is None:
            steps.append(Step(name=name, state="skipped"))
        elif error := event.get("error"):
            failed = _failed(name, faults.of_event(error), int(event.get("status", 0)))
            steps.append(_weighed(failed, settings, told))
        else:
            steps.append(_ok(name, event, settings))
    return steps


def _wanted(settings: LlamaFactorySettings) -> list[str]:
    """What is to be looked at there: nothing that is not named."""
    named = {
        "base model": settings.base_model_path,
        "adapter": settings.adapter_path,
        "script": settings.script_path,
    }
    return [name for name in THERE if named.get(name, name)]


def _weighed(step: Step, settings: LlamaFactorySettings, told: Mapping[str, Any]) -> Step:
    """A failure as far as it stands in the way: the mode script needs no command line."""
    if step.name == "command line" and settings.mode == "script" and settings.cli_path is None:
        return Step(
            name=step.name, state="warning", detail=step.detail, hint="the mode script needs none"
        )
    is_unread = told.get(step.name, {}).get("error", {}).get("type") != "TemplateUnknown"
    if step.name == "template" and is_unread and "error" in told.get("llamafactory", {}):
        return Step(name=step.name, state="skipped")
    return step


def _ok(name: str, event: Mapping[str, Any], settings: LlamaFactorySettings) -> Step:
    named = {"working directory": settings.work_dir, "environment": settings.conda_env}
    detail = str(event.get("detail") or named.get(name) or "none named")
    warning = warning_of(settings.template) if name == "template" else None
    if warning is not None:
        return Step(name=name, state="warning", detail=warning, hint=f"write `{detail}`")
    return Step(name=name, state="ok", detail=detail)


def _failed(name: str, error: TrueUpError, status: int = 0) -> Step:
    return Step(name=name, state="failed", detail=error.cause, hint=error.hint, status=status)
