"""From a request to a lock, by uv: the one part of an environment that may ask a network twice."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from trueup.adapt.isolate.interpreters import Interpreter
from trueup.adapt.isolate.lock import Lock, read_lock
from trueup.adapt.isolate.request import Request
from trueup.adapt.isolate.shared_torch import SharedTorch
from trueup.adapt.isolate.uv import run_uv

LIBRARY = "transformers"
TORCH_VARIABLE = "UV_TORCH_BACKEND"


def resolve_lock(
    request: Request,
    interpreter: Interpreter,
    shared: SharedTorch | None,
    *,
    wheelhouse: Path | None,
    tell: Callable[[str], None],
) -> Lock:
    """The packages that a request comes to now, with what torch brings left out.

    Raises: AdaptError where they exclude each other or cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="trueup-resolve-") as name:
        folder = Path(name)
        wanted = folder / "requirements.in"
        lines = list(request.requirements)
        if not request.shares_torch:
            lines.append(request.torch)
        wanted.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        left_out = folder / "excluded.txt"
        names = [] if shared is None else [each.name for each in shared.packages]
        left_out.write_text("".join(f"{each}\n" for each in names), encoding="utf-8")
        lock = folder / "pylock.toml"
        run_uv(
            [
                "pip", "compile", str(wanted), "--python", str(interpreter.path),
                "--excludes", str(left_out), "--format", "pylock.toml", "--output-file", str(lock),
                "--no-header", "--no-annotate", "--no-sources", *build_flags(request.builds),
                *torch_flags(request),
            ],
            doing=f"packages for {LIBRARY} {request.transformers} on Python {request.python} "
            "cannot be resolved",
            tell=tell,
            wheelhouse=wheelhouse,
        )  # fmt: skip
        return read_lock(lock.read_text(encoding="utf-8"), request, shared)


def build_flags(builds: Iterable[str]) -> list[str]:
    """Nothing is compiled or run at the installation but what has no wheel anywhere."""
    flags = ["--only-binary", ":all:"]
    for name in builds:
        flags += ["--no-binary", name]
    return flags


def torch_flags(request: Request) -> list[str]:
    """Where a whole torch comes from: the index of its builds for CPUs, where ours is one.

    What the user says of it holds.
    """
    if request.shares_torch or os.environ.get(TORCH_VARIABLE):
        return []
    return ["--torch-backend", "cpu" if request.torch_is_for_cpu else "auto"]
