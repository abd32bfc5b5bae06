"""Host keys that are trusted: read for each connection, added to when somebody has seen them."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.config.home import trueup_home
from trueup.config.llamafactory_settings import HostSettings
from trueup.errors import ConfigError

if TYPE_CHECKING:
    import asyncssh

SSH_PORT = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedKey:
    """A host's key: its algorithm, its fingerprint as `ssh-keygen -l` tells it, its text."""

    algorithm: str
    fingerprint: str
    text: str


def offered(key: asyncssh.SSHKey) -> OfferedKey:
    """A key as people compare it."""
    # No comment, which is its maker's word and no part of the key.
    text = f"{key.get_algorithm()} {base64.b64encode(key.public_data).decode()}"
    return OfferedKey(
        algorithm=key.get_algorithm(), fingerprint=key.get_fingerprint(), text=text
    )  # fmt: skip


def known_hosts_file(settings: HostSettings) -> Path:
    """Where the keys of these hosts are: the configured file, else TrueUp's own."""
    if settings.known_hosts is not None:
        return Path(settings.known_hosts).expanduser()
    return trueup_home() / "known_hosts"


def read_known_hosts(path: Path) -> asyncssh.SSHKnownHosts:
    """What the file says; a file that is not there trusts nobody.

    Raises:
        ConfigError: it cannot be read, or is no such file.
    """
    import asyncssh

    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"known host keys cannot be read: {error}", where=str(path)) from error
    try:
        return asyncssh.import_known_hosts(text)
    except ValueError as error:
        raise ConfigError(
            f"{error}", where=str(path), hint="each line is `host algorithm key`; mend that line"
        ) from error


def fingerprints_of(known: asyncssh.SSHKnownHosts, host: str, port: int) -> list[str]:
    """What is known of a host, by the name that it is asked under."""
    keys = known.match(host, "", port if port != SSH_PORT else None)[0]
    return [key.get_fingerprint() for key in keys]


def trust(path: Path, host: str, port: int, keys: Sequence[OfferedKey]) -> None:
    """Write a host's keys, in place of what was written of exactly this host before.

    The file is replaced whole, so that two who write it at once never leave half of one.

    Raises:
        ConfigError: it cannot be written.
    """
    name = host if port == SSH_PORT else f"[{host}]:{port}"
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if line.split(maxsplit=1)[:1] != [name]]
        text = "".join(f"{line}\n" for line in [*kept, *(f"{name} {key.text}" for key in keys)])
        with open(part, "w", encoding="utf-8", opener=_private) as target:
            target.write(text)
        part.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise ConfigError(f"known host keys cannot be written: {error}", where=str(path)) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
