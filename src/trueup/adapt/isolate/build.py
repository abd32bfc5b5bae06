"""Builds an environment: resolved, put together beside its place, tried, and renamed when whole.

Never run for a request: `trueup env build`, a preload with consent and the suite are who calls it.
Blocking, for as long as downloads take.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

from trueup.adapt.isolate.half_built import (
    alone_at,
    delete,
    disk_bytes,
    half_built,
    half_folder,
    unwritable,
)
from trueup.adapt.isolate.linking import Shared, share_files
from trueup.adapt.isolate.lock import Lock
from trueup.adapt.isolate.planned import PlannedEnvironment
from trueup.adapt.isolate.resolve import build_flags, resolve_lock, torch_flags
from trueup.adapt.isolate.store import (
    Built,
    built_environment,
    environments_folder,
    keep_lock,
    kept_lock,
    python_of,
    site_packages,
    write_manifest,
)
from trueup.adapt.isolate.uv import run_uv
from trueup.errors import AdaptError, ConfigError

Tell = Callable[[str], None]

# Beyond the estimate: what a resolver and an unpacking need for a while.
SPARE_BYTES = 100_000_000
TRY_SECONDS = 300
# Not uv's hard links, which its clones are too where the system has none: they make one file of
# all environments and uv's cache. What is edited in one would be in all, and the next build would
# take it for what was published. A copy is a clone where the file system can.
LINK_MODE = "copy"
# What every worker imports of them, and what this compiles: only the half that is used.
TRIED = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import torch, transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers import PreTrainedModel, PreTrainedTokenizer, PreTrainedTokenizerFast
from transformers import LogitsProcessorList, StoppingCriteriaList
print(transformers.__version__, torch.__version__)
"""
TRIED_MODULES = ("numpy", "safetensors.torch", "sentencepiece", "tiktoken", "jinja2", "orjson",
                 "packaging", "uvicorn")  # fmt: skip


def build_environment(
    planned: PlannedEnvironment,
    *,
    tell: Tell,
    wheelhouse: Path | None = None,
    resolves_anew: bool = False,
    root: Path | None = None,
) -> Built:
    """The environment, built where it is not there yet or is no longer as it was built.

    1. One builder at a time for a request; who waited finds it built.
    2. The lock that is kept, else a new one.
    3. An environment of that lock that is whole is taken, one that was changed is deleted.
    4. Room on the disk, then everything under a name that nobody uses, then the rename.

    With a `wheelhouse` no network is asked. `tell` hears of progress.

    Raises: AdaptError for packages that cannot be had or do not run; ConfigError where nothing can
    be kept. Nothing that is not whole is left under a name that is used.
    """
    root = environments_folder() if root is None else root
    request = planned.request
    waiting = "another process builds the same environment: waiting for it"
    try:
        with alone_at(request.digest, root, lambda: tell(waiting)):  # 1
            for left in half_built(root):
                delete(left)
            lock = None if resolves_anew else kept_lock(request, root=root)  # 2
            if lock is None:
                _check_room(root, planned.disk_bytes)
                tell(f"resolving packages for transformers {request.transformers}")
                lock = resolve_lock(
                    request, planned.interpreter, planned.shared, wheelhouse=wheelhouse, tell=tell
                )
                keep_lock(lock, root)
            built = built_environment(lock.digest, root=root)  # 3
            if built is not None and built.fault is None:
                return built
            if built is not None:
                tell(f"building it anew: {built.fault}")
            _Building(replace(planned, lock=lock), lock, root, wheelhouse, tell).run()  # 4
    except OSError as error:
        raise unwritable(error, root) from error
    built = built_environment(lock.digest, root=root)
    if built is None or built.fault is not None:
        raise ConfigError("the environment is not what was written", where=str(root / lock.digest))
    return replace(built, is_new=True)


class _Building:
    """One environment on its way."""

    def __init__(
        self,
        planned: PlannedEnvironment,
        lock: Lock,
        root: Path,
        wheelhouse: Path | None,
        tell: Tell,
    ) -> None:
        self._planned, self._lock, self._root = planned, lock, root
        self._wheelhouse, self._tell = wheelhouse, tell

    def run(self) -> None:
        """Build it whole and give it its name. Raises: AdaptError, OSError."""
        _check_room(self._root, self._planned.disk_bytes)
        with half_folder(self._root) as (folder, lock_file):
            self._make(folder, lock_file)
            shared = self._share(folder)
            self._install(folder, lock_file)
            self._try(folder, lock_file)
            write_manifest(
                folder,
                self._lock,
                base=os.path.realpath(python_of(folder)),
                disk_bytes=disk_bytes(folder, shared),
            )
            self._name(folder)

    def _make(self, folder: Path, lock_file: IO[str]) -> None:
        run_uv(
            ["venv", "--python", str(self._planned.interpreter.path), "--relocatable",
             "--no-project", "--no-python-downloads", "--allow-existing", str(folder)],
            doing="no environment can be made",
            tell=self._tell,
            lock_file=lock_file,
        )  # fmt: skip

    def _share(self, folder: Path) -> frozenset[str]:
        """Link torch; the paths of what takes no room, relative to `folder`."""
        shared = self._planned.shared
        if shared is None:
            return frozenset()
        packages, done = site_packages(folder, self._lock.request.python), Shared()
        for package in shared.packages:
            share_files(package.folder, packages, package.files, done)
        ways = {"linked": done.linked, "cloned": done.cloned, "copied": done.copied}
        told = ", ".join(f"{count:,} files {way}" for way, count in ways.items() if count)
        self._tell(f"torch {shared.version} is shared: {told}")
        if done.copied:
            return frozenset()
        start = packages.relative_to(folder).as_posix()
        return frozenset(f"{start}/{name}" for each in shared.packages for name in each.files)

    def _install(self, folder: Path, lock_file: IO[str]) -> None:
        request = self._lock.request
        lines = folder / "lock.txt"
        lines.write_text(self._lock.text, encoding="utf-8")
        self._tell(f"installing {len(self._lock.packages)} packages")
        run_uv(
            ["pip", "install", "--python", str(python_of(folder)), "--no-deps",
             "--require-hashes", "--requirement", str(lines), "--link-mode", LINK_MODE,
             *build_flags(request.builds), *torch_flags(request)],
            doing=f"packages for transformers {request.transformers} cannot be installed",
            tell=self._tell,
            lock_file=lock_file,
            wheelhouse=self._wheelhouse,
        )  # fmt: skip
        run_uv(
            ["pip", "check", "--python", str(python_of(folder))],
            doing="the packages do not fit those that come with the shared torch",
            tell=self._tell,
            lock_file=lock_file,
        )

    def _try(self, folder: Path, lock_file: IO[str]) -> None:
        """Import what a worker imports; what Python compiles of it is kept.

        A worker may not write there, and would compile it at each start.
        """
        self._tell("trying it")
        own = [package.name for package in self._planned.own if package.is_sdist]
        names = [*TRIED_MODULES, *(name.replace("-", "_") for name in own)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        try:
            done = subprocess.run(
                [python_of(folder), "-I", "-W", "ignore", "-c", TRIED, *names],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TRY_SECONDS,
                env={**kept, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
                cwd="/",
                check=False,
                pass_fds=(lock_file.fileno(),),
            )
        except subprocess.TimeoutExpired as error:
            raise AdaptError(
                f"what a worker imports is not imported within {TRY_SECONDS} s",
                where=f"transformers {self._lock.request.transformers}",
            ) from error
        if done.returncode != 0:
            told = [line for line in done.stderr.splitlines() if line.strip()][-1:]
            raise AdaptError(
                "the environment was built and does not import: "
                + (told[0] if told else f"status {done.returncode}"),
                where=f"transformers {self._lock.request.transformers} on Python "
                f"{self._planned.interpreter.version}",
                hint="name another release: --transformers VERSION",
            )

    def _name(self, folder: Path) -> None:
        """The rename; an environment of that name that is no good is deleted before it."""
        final = self._root / self._lock.digest
        for _ in range(2):
            with contextlib.suppress(OSError):
                folder.rename(final)
                return
            built = built_environment(self._lock.digest, root=self._root)
            if built is not None and built.fault is None:  # another request came to the same
                return
            delete(final)
        folder.rename(final)


def _check_room(root: Path, needed_bytes: int) -> None:
    """Raises: ConfigError where the disk has less than it would take."""
    folder = root
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + SPARE_BYTES:
        raise ConfigError(
            f"the environment takes about {needed_bytes / 10**6:,.0f} MB and "
            f"{SPARE_BYTES / 10**6:,.0f} MB besides while it is built; the disk has "
            f"{free / 10**6:,.0f} MB",
            where=str(folder),
            hint="make room, or set TRUEUP_HOME to a larger disk; `trueup env prune` deletes "
            "environments",
        )
