"""Which packages an interpreter has, from their metadata folders' names. Imports none of them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from packaging.version import InvalidVersion, Version

from trueup.environment.environment import Environment
from trueup.environment.library_models import library_bases, library_models
from trueup.errors import ConfigError, UsageError

METADATA_SUFFIXES = (".dist-info", ".egg-info")
ASK_SECONDS = 20
ASK_PROGRAM = "import platform, sys; print(platform.python_version(), *sys.path, sep='\\n')"


def read_environment(
    python: Path | None = None, assume_transformers: str | None = None
) -> Environment:
    """The packages of `python` (None: of the running interpreter), with nothing imported.

    `assume_transformers` replaces the version of transformers by one that need not be there.
    Raises: ConfigError where the interpreter cannot be used, UsageError for what is no version.
    """
    if python is None:
        executable, version = sys.executable, platform.python_version()
        folders: Iterable[str] = sys.path
    else:
        executable = str(python)
        version, folders = _other_interpreter(python)
    packages, homes = _read_packages(folders)
    if assume_transformers is not None:
        packages["transformers"] = _version(assume_transformers)
        homes.pop("transformers", None)
        return Environment(
            python=executable,
            python_version=version,
            packages=packages,
            is_assumed=True,
            folders=homes,
        )
    models: dict[str, str | None] = {}
    bases: dict[str, str] = {}
    if "transformers" in packages:
        package, release = homes["transformers"] / "transformers", packages["transformers"]
        models, bases = library_models(package, release), library_bases(package, release)
    return Environment(
        python=executable,
        python_version=version,
        packages=packages,
        library_models=models,
        library_bases=bases,
        folders=homes,
    )


def _version(text: str) -> str:
    try:
        return str(Version(text))
    except InvalidVersion as error:
        raise UsageError(
            f"`{text}` is not a version of transformers: expected one such as `4.56.0`",
            where="--transformers",
        ) from error


def _read_packages(folders: Iterable[str]) -> tuple[dict[str, str], dict[str, Path]]:
    """Normalised names to versions and to the folder that each is in; the first folder wins."""
    packages: dict[str, str] = {}
    homes: dict[str, Path] = {}
    for folder in folders:
        try:
            names = os.listdir(folder or ".")
        except OSError:  # a zip file, or a folder that is not there: sys.path has such
            continue
        for entry in names:
            if not entry.endswith(METADATA_SUFFIXES):
                continue
            name, _, version = entry.rpartition(".")[0].partition("-")
            normal = re.sub(r"[-_.]+", "-", name).lower()
            version = version.split("-py")[0]
            if normal in packages or not version:
                continue
            if normal == "transformers" and not _is_version(version):
                continue
            packages[normal] = version
            homes[normal] = Path(folder or ".")
    return packages, homes


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _other_interpreter(python: Path) -> tuple[str, list[str]]:
    """Version and search path of another interpreter, from its files where it is a venv."""
    if python.is_dir():
        python = next(
            (found for name in ("bin/python", "bin/python3") if (found := python / name).exists()),
            python / "bin" / "python",
        )
    if not python.is_file():
        raise ConfigError(
            f"`{python}` is not an interpreter: there is no such file",
            where="--python",
            hint="give the `bin/python` of an environment",
        )
    return _read_venv(python) or _ask(python)


def _read_venv(python: Path) -> tuple[str, list[str]] | None:
    home = python.parent.parent
    try:
        lines = (home / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    settings = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition("=") for line in lines)
    }
    version = settings.get("version") or settings.get("version_info", "")
    short = ".".join(version.split(".")[:2])
    folder = home / "lib" / f"python{short}" / "site-packages"
    shares_system = settings.get("include-system-site-packages", "").lower() == "true"
    if not short or shares_system or not folder.is_dir():
        return None
    return version, [*_paths_added(folder), str(folder)]


def _paths_added(folder: Path) -> list[str]:
    """Folders that `.pth` files add; their `import` lines are not run."""
    added: list[str] = []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".pth"):
            continue
        try:
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        added += [
            str(folder / line.strip())
            for line in lines
            if line.strip() and not line.startswith(("#", "import ", "import\t"))
        ]
    return added


def _ask(python: Path) -> tuple[str, list[str]]:
    try:
        answer = subprocess.run(
            [python, "-I", "-c", ASK_PROGRAM],
            capture_output=True,
            text=True,
            check=True,
            timeout=ASK_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"`{python}` does not run as a Python interpreter: {_reason(error)}",
            where="--python",
            hint="give the `bin/python` of an environment",
        ) from error
    version, *folders = answer.stdout.splitlines() or [""]
    if not re.fullmatch(r"\d+\.\d+\.\d+\S*", version):
        raise ConfigError(
            f"`{python}` does not answer as Python does",
            where="--python",
            hint="give the `bin/python` of an environment",
        )
    return version, folders


def _reason(error: Exception) -> str:
    """Why a program gave no answer, without the command that it was asked by."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ends with status {error.returncode} instead of an answer"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {ASK_SECONDS} s"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "its answer is not text"
