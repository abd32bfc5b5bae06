"""A planned environment and the torch that it shares, made by hand in a folder."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from trueup.adapt.isolate.interpreters import Interpreter, minor_of
from trueup.adapt.isolate.planned import PlannedEnvironment
from trueup.adapt.isolate.request import Request
from trueup.adapt.isolate.shared_torch import SharedTorch, shared_torch
from trueup.environment.environment import Environment

MINOR = minor_of(platform.python_version())


def write_distribution(
    home: Path, name: str, version: str, files: dict[str, str], needs: tuple[str, ...] = ()
) -> None:
    """An installed distribution with its metadata."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    written = {**files, f"{info}/METADATA": "\n".join(lines) + "\n"}
    for path, text in written.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)
    record = [f"{path},sha256=x,{len(text)}" for path, text in written.items()]
    record += [f"../../../bin/{name},sha256=x,7", f"{info}/RECORD,,"]
    (home / info / "RECORD").write_text("\n".join(record) + "\n")


def torch_at(home: Path) -> SharedTorch:
    """A small torch that needs `sympy`, which needs `mpmath`."""
    needs = ("sympy>=1.13", "optree; extra == 'optree'", "triton; python_version < '3'")
    write_distribution(home, "torch", "2.13.0+cpu", {"torch/lib.so": "x" * 5000}, needs)
    write_distribution(home, "sympy", "1.14.0", {"sympy/__init__.py": "S = 1\n"}, ("mpmath",))
    write_distribution(home, "mpmath", "1.3.0", {"mpmath/__init__.py": "M = 1\n"})
    names = {"torch": "2.13.0+cpu", "sympy": "1.14.0", "mpmath": "1.3.0"}
    found = shared_torch(environment_at(home, names))
    assert isinstance(found, SharedTorch)
    return found


def environment_at(home: Path, packages: dict[str, str]) -> Environment:
    return Environment(
        python=sys.executable,
        python_version=platform.python_version(),
        packages=packages,
        folders=dict.fromkeys(packages, home),
    )


def planned_at(home: Path, *, transformers: str = "4.38.2") -> PlannedEnvironment:
    """An environment that shares the torch of `home`."""
    shared = torch_at(home)
    return PlannedEnvironment(
        command="trueup env build demo",
        request=Request(
            python=MINOR,
            transformers=transformers,
            requirements=("numpy<2", f"transformers=={transformers}"),
            torch=shared.version,
            shares_torch=True,
        ),
        interpreter=Interpreter(path=Path(sys.executable), version=platform.python_version()),
        shared=shared,
        own=(),
        advisories=(),
        why=("because",),
    )
