"""The servers of this user that run now, each with a file of its own; keys are never written."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from trueup.config.home import trueup_home


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """Where a server listens and what it serves; `url` has no path.

    A private one is for the command that started it alone.
    """

    url: str
    pid: int
    models: tuple[str, ...]
    is_private: bool = False


@contextlib.contextmanager
def registered(server: RunningServer) -> Iterator[None]:
    """Let `running_servers` find the server for the length of the block.

    A home that cannot be written is no reason not to serve.
    """
    path = _folder() / f"{server.pid}.json"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".half")
        half.write_text(json.dumps(asdict(server)), encoding="utf-8")
        half.replace(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def running_servers() -> tuple[RunningServer, ...]:
    """The servers that run, the newest first; files of ended ones are removed."""
    found = []
    for path in sorted(_folder().glob("*.json"), key=_written_at, reverse=True):
        try:
            shape = json.loads(path.read_text(encoding="utf-8"))
            server = RunningServer(
                url=shape["url"],
                pid=int(shape["pid"]),
                models=tuple(shape["models"]),
                is_private=bool(shape.get("is_private")),
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if _is_alive(server.pid):
            found.append(server)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return tuple(found)


def _folder() -> Path:
    return trueup_home() / "servers"


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's process has the number now
        return False
    return True
