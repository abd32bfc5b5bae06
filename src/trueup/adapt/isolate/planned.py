"""The environment that a model's own code would run in: chosen from facts, nothing is built.

Fast and without a network: what the lines resolve to is known once there is a lock.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from trueup.adapt.isolate import pins
from trueup.adapt.isolate.advisories import Advisory
from trueup.adapt.isolate.choice import Choice, NoChoice, choose
from trueup.adapt.isolate.interpreters import Interpreter, minor_of, on_path
from trueup.adapt.isolate.linking import can_link
from trueup.adapt.isolate.lock import Lock
from trueup.adapt.isolate.own_packages import KnownPackage, packages_of
from trueup.adapt.isolate.pins import MEGABYTE
from trueup.adapt.isolate.request import Request
from trueup.adapt.isolate.shared_torch import SharedTorch, shared_torch
from trueup.adapt.isolate.store import (
    PREFIX,
    Built,
    built_environment,
    environments_folder,
    kept_lock,
)
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.matrix import Judge, minors
from trueup.environment.environment import Environment
from trueup.environment.symbols.symbols import versions


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEnvironment:
    """An environment for one model: what is asked for, and what is known of it by now.

    `command` builds it. `shared` is None where a whole torch is installed, `lock` until it was
    resolved, `built` until it was built. `copies_torch` where sharing takes the disk space that
    torch has.
    """

    command: str
    request: Request
    interpreter: Interpreter
    shared: SharedTorch | None
    own: tuple[KnownPackage, ...]
    advisories: tuple[Advisory, ...]
    why: tuple[str, ...]
    copies_torch: bool = False
    lock: Lock | None = None
    built: Built | None = None

    @property
    def is_built(self) -> bool:
        """Whether it is there, and as it was built."""
        return self.built is not None and self.built.fault is None

    @property
    def download_bytes(self) -> int:
        """What has to be fetched: as the lock says, else an estimate."""
        told = None if self.lock is None else self.lock.download_bytes
        return self._estimated()[0] if told is None else told

    @property
    def disk_bytes(self) -> int:
        """What it takes beside what it shares: measured once it is built, else an estimate."""
        return self._estimated()[1] if self.built is None else self.built.disk_bytes

    def _estimated(self) -> tuple[int, int]:
        own = sum(package.disk_mb for package in self.own) * MEGABYTE
        download, disk = pins.BASE_DOWNLOAD_BYTES + own // pins.PACKED, pins.BASE_DISK_BYTES + own
        if self.shared is None:
            for_cpu = self.request.torch_is_for_cpu
            download += pins.TORCH_CPU_DOWNLOAD_BYTES if for_cpu else pins.TORCH_GPU_DOWNLOAD_BYTES
            disk += pins.TORCH_CPU_DISK_BYTES if for_cpu else pins.TORCH_GPU_DISK_BYTES
        elif self.copies_torch:
            disk += self.shared.size_bytes
        return download, disk

    def as_dict(self) -> dict[str, Any]:
        """The plan's `environment`."""
        request, lock = self.request, self.lock
        return {
            "is_ours": True,
            "request": request.digest,
            "lock": None if lock is None else f"{PREFIX}{lock.digest}",
            "python": str(self.interpreter.path),
            "python_version": self.interpreter.version,
            "transformers": request.transformers,
            "torch": request.torch,
            "packages": list(request.requirements) if lock is None else lock.versions,
            "download_bytes": self.download_bytes,
            "disk_bytes": self.disk_bytes,
            "is_estimate": self.built is None,
            "shares_torch": request.shares_torch,
            "advisories": [each.as_dict() for each in self.advisories],
            "is_built": self.is_built,
            "interpreter": None
            if self.built is None or not self.is_built
            else str(self.built.interpreter),
            "command": self.command,
        }


def planned_environment(
    checkpoint: Checkpoint,
    environment: Environment,
    *,
    transformers: str | None = None,
    python: Interpreter | None = None,
    root: Path | None = None,
) -> PlannedEnvironment | str:
    """The environment that the model's own code should work in, or the reason why there is none.

    `environment` is that of the running interpreter, whose torch is shared where its Python will
    do. `transformers` or `python` name a release or an interpreter that the user wants.

    Raises: ConfigError where no home for environments is to be found.
    """
    known, missing = packages_of(checkpoint)
    home = Interpreter(path=Path(environment.python), version=environment.python_version)
    torch = shared_torch(environment)
    named = _version(checkpoint.config.get("transformers_version"))
    releases = _releases(named) if transformers is None else [Version(transformers)]
    if not releases:
        return "this TrueUp lacks its index of releases of transformers"
    if transformers is not None and (unknown := unknown_release(Version(transformers))):
        return unknown
    judge = _judge(checkpoint, environment, known)
    choice = choose(
        releases,
        named if named in releases else None,
        home if python is None else python,
        can_share=isinstance(torch, SharedTorch) and (python is None or python.minor == home.minor),
        judge=judge,
        find=on_path if python is None else lambda _: None,
    )
    if isinstance(choice, NoChoice):
        reasons = (*_met(judge, choice, named), *_missing(missing))
        return "; ".join((choice.reason, *reasons))
    root = environments_folder() if root is None else root
    command = _command(checkpoint, transformers, python)
    planned = _planned(command, environment, choice, known, torch, root)
    lock = kept_lock(planned.request, root=root)
    if lock is None:
        return planned
    return replace(planned, lock=lock, built=built_environment(lock.digest, root=root))


def unknown_release(release: Version) -> str | None:
    """That there is no such release of transformers, as far as is known; None for one that is."""
    known = versions()
    if not known or release in known:
        return None
    return (
        f"no release {release} of transformers is known: they go from {min(known)} to {max(known)}"
    )


def _met(judge: Judge, choice: NoChoice, named: Version | None) -> list[str]:
    """What the model meets: with whatever release, else with the one that its config names."""
    met = {release: errors for release, errors in choice.errors.items() if errors}
    if not met:
        return []
    release = named if named in met else max(met)
    findings = [each for each in judge.findings(release) if each.severity == "error"]
    always = set(met[release]).intersection(*met.values())
    causes = [each for each in findings if each.code in always] if len(met) > 1 else []
    others = " as with every other" if causes else ""
    told = (
        f"{each.code}: {each.cause}" + (f" ({each.where})" if str(each.where) else "")
        for each in causes or findings
    )
    return [f"with {release}{others} it meets {', '.join(told)}"]


def _missing(names: Sequence[str]) -> list[str]:
    """That of the packages which the code imports some are for the user to install."""
    if not names:
        return []
    told = ", ".join(f"`{name}`" for name in names)
    return [
        f"TrueUp installs no package that it does not know, as {told}: an environment of yours "
        "that has it will do (`--isolated-python PATH`)"
    ]


def _command(checkpoint: Checkpoint, transformers: str | None, python: Interpreter | None) -> str:
    words = ["trueup", "env", "build", checkpoint.source]
    if transformers is not None:
        words += ["--transformers", transformers]
    if python is not None:
        words += ["--python", str(python.path)]
    return shlex.join(words)


def _releases(named: Version | None) -> list[Version]:
    """The last patch of each minor release, and the very one that the config names."""
    known = versions()
    last = [each for each in minors(known) if each <= known[-1]]
    oldest = next(iter(pins.FIRST_RELEASE.values()))
    last = [each for each in last if each >= oldest]
    return sorted({*last, named}) if named is not None and named in known else last


def _version(text: object) -> Version | None:
    """The release that a config names; of a development version, the release that it became."""
    try:
        return Version(Version(str(text)).base_version)
    except InvalidVersion:
        return None


def _judge(
    checkpoint: Checkpoint,
    environment: Environment,
    known: Mapping[str, KnownPackage],
) -> Judge:
    """The doctor, for an environment that has what ours would have."""
    torch = environment.packages.get("torch", pins.OLDEST_TORCH)
    given = ("numpy", "protobuf", "huggingface-hub", "tokenizers", *pins.WORKER)
    names = (*given, *(package.name for package in known.values()))
    packages = {name: environment.packages.get(name, "1") for name in names}
    return Judge(checkpoint, replace(environment, packages={**packages, "torch": torch}))


def _planned(
    command: str,
    environment: Environment,
    choice: Choice,
    known: Mapping[str, KnownPackage],
    torch: SharedTorch | str,
    root: Path,
) -> PlannedEnvironment:
    shared = torch if choice.shares_torch and isinstance(torch, SharedTorch) else None
    own = tuple(known.values())
    given = set() if shared is None else {each.name for each in shared.packages}
    installed = environment.packages.get("torch")
    lines = pins.requirements(choice.release, own)
    request = Request(
        python=choice.interpreter.minor,
        transformers=str(choice.release),
        requirements=tuple(line for line in lines if line not in given),
        torch=shared.version if shared is not None else _torch_line(installed),
        shares_torch=shared is not None,
        torch_is_for_cpu=shared is None and (installed is None or "+cpu" in installed),
        builds=tuple(sorted(package.name for package in own if package.is_sdist)),
    )
    return PlannedEnvironment(
        command=command,
        request=request,
        interpreter=choice.interpreter,
        shared=shared,
        own=own,
        advisories=choice.advisories,
        why=(*choice.why, *_torch_words(choice, torch, environment)),
        copies_torch=shared is not None and not can_link(shared.packages[0].folder, root),
    )


def _torch_line(installed: str | None) -> str:
    return (
        f"torch>={pins.OLDEST_TORCH}"
        if installed is None
        else f"torch=={Version(installed).public}"
    )


def _torch_words(
    choice: Choice, torch: SharedTorch | str, environment: Environment
) -> tuple[str, ...]:
    if choice.shares_torch:
        return ()
    if isinstance(torch, str):
        return (f"a whole torch is installed: {torch}",)
    return (
        f"a whole torch is installed: the one that is here is for Python "
        f"{minor_of(environment.python_version)}, the environment has {choice.interpreter.minor}",
    )
