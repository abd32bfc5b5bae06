"""A file on a host, through the shell: whole or not at all, wherever a shell runs."""

from __future__ import annotations

import hashlib
import shlex

from trueup.backends.hosts.host import Finished, Host
from trueup.errors import BackendError

FILE_SECONDS = 60.0
NO_FILE = 48


async def put_file(host: Host, data: bytes, path: str, mode: int) -> None:
    """Have `data` at `path` there, absolute; a file that has it already is left as it is.

    Raises:
        BackendError: `host_file`; HostLost.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    if not (await host.run(_check(path, sha256), seconds=FILE_SECONDS)).status:
        return
    command = _write(path, sha256, mode)
    finished = await host.run(command, stdin=data, seconds=FILE_SECONDS)
    if finished.status:
        raise _error(finished, path, host.name)


def _check(path: str, sha256: str) -> str:
    """A command whose status is 0 where a file with that content is."""
    quoted = shlex.quote(path)
    return f'[ -f {quoted} ] && [ "$(sha256sum < {quoted})" = "{sha256}  -" ]'


def _write(path: str, sha256: str, mode: int) -> str:
    """A command that makes its stdin that file, when it came whole; else it leaves the old one."""
    part = shlex.quote(f"{path}.part-") + "$$"
    return (
        f"umask 077; part={part}; trap 'rm -f \"$part\"' EXIT; "
        f'cat > "$part" && [ "$(sha256sum < "$part")" = "{sha256}  -" ] || exit {NO_FILE}; '
        f'chmod {mode:o} "$part" && mv -f "$part" {shlex.quote(path)}'
    )


def _error(finished: Finished, path: str, where: str) -> BackendError:
    """What a failed write is told as."""
    said = finished.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    why = said or (
        "what arrived was not what was sent" if finished.status == NO_FILE else
        f"status {finished.status}"
    )  # fmt: skip
    return BackendError(
        f"`{path}` cannot be written on {where}: {why}",
        retryable=False,
        code="host_file",
        where=where,
        hint=f"is there room, and may this user write there? On {where}: df . ; ls -ld",
    )
