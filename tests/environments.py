"""Python environments of other library versions, built from constraints/ and cached.

An environment is named after its pin file and lies under .envs/ by the hash of that file, so a
changed pin builds a new one. torch is shared with the running environment by hard links (a
copy across file systems): it is the same version in every pin file that names it. The rest is
linked from uv's cache, so that what several environments have is unpacked once. The pins are all
that is installed: what packages ask for beyond that is left out on purpose (torchvision, whose
wheels fit no torch for CPUs).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

from trueup.adapt.isolate.uv import run_uv

ROOT = Path(__file__).resolve().parent.parent
# A torch for GPUs has the last two beside it.
SHARED_PACKAGES = ("torch", "torchgen", "functorch", "nvidia", "triton")
# What llamafactory imports without using it for text; no wheel of it fits a torch for CPUs.
STAND_INS = {"llamafactory-": "torchaudio"}


def python_for(name: str) -> Path:
    """The interpreter of the environment that `constraints/<name>.txt` describes.

    Builds it at the first call; several processes may ask at once. Where the running
    interpreter has the transformers of the pins, it is the one.
    """
    pins = ROOT / "constraints" / f"{name}.txt"
    if f"transformers=={metadata.version('transformers')}" in pins.read_text().splitlines():
        return Path(sys.executable)
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = ROOT / ".envs" / f"{name}-{digest}"
    python = home / "bin" / "python"
    home.parent.mkdir(exist_ok=True)
    with (home.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            _build(home, python, pins)
            (home / "complete").touch()
    return python


def _build(home: Path, python: Path, pins: Path) -> None:
    for stale in home.parent.glob(f"{pins.stem}-*"):
        shutil.rmtree(stale)
    doing = f"the environment of {pins.name} cannot be built"
    run_uv(["venv", "--python", sys.executable, str(home)], doing=doing, tell=_tell)
    if any(line.startswith("torch==") for line in pins.read_text().splitlines()):
        _share_torch(home)
    run_uv(
        ["pip", "install", "--python", str(python), "--no-deps", "--requirement", str(pins)],
        doing=doing,
        tell=_tell,
    )
    for prefix, module in STAND_INS.items():
        if pins.name.startswith(prefix):
            (_packages_of(home) / f"{module}.py").touch()


def _packages_of(home: Path) -> Path:
    return home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _share_torch(home: Path) -> None:
    source = Path(sysconfig.get_path("purelib"))
    target = _packages_of(home)
    for folder in [*map(source.joinpath, SHARED_PACKAGES), *source.glob("torch-*.dist-info")]:
        if folder.exists():
            shutil.copytree(folder, target / folder.name, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(python_for(wanted))
