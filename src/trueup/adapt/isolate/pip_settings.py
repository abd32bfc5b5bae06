"""The package index that pip is set to, for uv, which does not read pip's settings.

Whoever has a mirror has told pip of it. What uv is told itself goes first.
"""

from __future__ import annotations

import configparser
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

# Of uv's own settings, any of these means that it has been told where to look.
UV_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE")
SECTIONS = ("install", "global")


def index_variables(
    environment: Mapping[str, str], *, prefix: Path = Path(sys.prefix), root: Path = Path("/")
) -> dict[str, str]:
    """`{"UV_DEFAULT_INDEX": URL}` where pip alone knows of an index, else nothing.

    pip's order: PIP_INDEX_URL, the file of PIP_CONFIG_FILE, that of the running environment, the
    user's, the machine's. `prefix` and `root` are where the last of them are looked for.
    """
    if any(environment.get(name) for name in UV_VARIABLES):
        return {}
    if any(path.is_file() for path in _uv_files(environment, root)):
        return {}
    url = environment.get("PIP_INDEX_URL") or next(
        (found for path in _pip_files(environment, prefix, root) if (found := _index(path))), None
    )
    return {"UV_DEFAULT_INDEX": url} if url else {}


def _uv_files(environment: Mapping[str, str], root: Path) -> Iterator[Path]:
    yield _config_home(environment) / "uv" / "uv.toml"
    yield root / "etc" / "uv" / "uv.toml"


def _pip_files(environment: Mapping[str, str], prefix: Path, root: Path) -> Iterator[Path]:
    named = environment.get("PIP_CONFIG_FILE")
    if named:
        yield Path(named)
    yield prefix / "pip.conf"
    yield _config_home(environment) / "pip" / "pip.conf"
    yield Path(environment.get("HOME") or "/") / ".pip" / "pip.conf"
    yield root / "etc" / "xdg" / "pip" / "pip.conf"
    yield root / "etc" / "pip.conf"


def _config_home(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("HOME") or "/")
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config")


def _index(path: Path) -> str | None:
    settings = configparser.RawConfigParser()
    try:
        settings.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):  # pip itself will tell of it
        return None
    for section in SECTIONS:
        for key in ("index-url", "index_url"):
            if settings.has_option(section, key) and (url := settings.get(section, key).strip()):
                return url
    return None
