"""What a host does, on this machine and over a real sshd alike."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.faults.ports import closed_url
from trueup.backends.hosts import host as limits
from trueup.backends.hosts import running as pieces
from trueup.backends.hosts.host import Host, Running
from trueup.errors import BackendError

SECONDS = 30.0


async def pid_of(running: Running) -> int:
    """The pid that a command has told in its first line."""
    return int(await running.readline())


def closed_port() -> int:
    """A port where nobody listens."""
    return int(urlsplit(closed_url()).port or 0)


def lives(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def test_a_command_has_its_input_output_and_status(host: Host) -> None:
    found = await host.run("cat; echo 错 >&2; exit 7", stdin="你好 🙂\n".encode(), seconds=SECONDS)
    assert (found.status, found.stdout, found.stderr) == (7, "你好 🙂\n".encode(), "错\n".encode())


async def test_a_signal_is_a_status_below_zero(host: Host) -> None:
    found = await host.run("kill -KILL $$", seconds=SECONDS)
    assert found.status == -signal.SIGKILL


async def test_a_command_is_text_of_a_plain_bash_whatever_is_in_it(host: Host) -> None:
    command = (
        "printf '%s|' 'a  b' \"it's\" '$HOME' '`x`' $'two\nlines' \"$-\" \"${BASH_VERSION:+bash}\""
    )
    found = await host.run(command, seconds=SECONDS)
    *words, flags, shell, rest = found.stdout.decode().split("|")
    assert words == ["a  b", "it's", "$HOME", "`x`", "two\nlines"]
    assert "i" not in flags
    assert (shell, rest) == ("bash", "")


async def test_a_command_that_takes_long_is_ended_with_what_it_started(
    host: Host, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match="more than 1 s") as caught:
        await host.run(f"sleep 600 & echo $$ $! > {tmp_path}/pids; wait", seconds=1)
    assert caught.value.code == "host_command_timeout"
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert not any(lives(pid) for pid in pids)


async def test_one_talks_with_a_command_line_by_line(host: Host) -> None:
    running = await host.start('while read -r line; do echo "<$line>"; done; printf end; exit 3')
    for word in ("a", "你好", "x" * 100_000):
        await running.write(f"{word}\n".encode())
        assert await running.readline() == f"<{word}>\n".encode()
    running.close_input()
    assert await running.readline() == b"end"
    assert await running.readline() == b""
    assert await running.wait() == 3


async def test_what_has_ended_takes_no_more(host: Host) -> None:
    running = await host.start("exec <&-; echo gone >&2; exit 5")
    assert await running.readline() == b""
    await running.write(b"too late\n")
    assert await running.wait() == 5
    await running.write(b"too late\n")
    running.close_input()
    assert running.stderr == b"gone\n"


async def test_the_end_of_stderr_is_kept(host: Host) -> None:
    running = await host.start("head -c 200000 /dev/zero >&2; echo last >&2")
    assert await running.wait() == 0
    assert len(running.stderr) == limits.STDERR_BYTES
    assert running.stderr.endswith(b"\0last\n")


async def test_endless_lines_and_output_are_errors(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "LINE_BYTES", 1000)
    monkeypatch.setattr(pieces, "OUTPUT_BYTES", 1000)
    with pytest.raises(BackendError, match="more than 1000 bytes"):
        await host.run("cat /dev/zero", seconds=SECONDS)
    running = await host.start("cat /dev/zero")
    with pytest.raises(BackendError, match="a line of a command"):
        await running.readline()
    await running.terminate()


async def test_terminate_ends_what_does_not_want_to(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "GRACE_SECONDS", 0.5)
    running = await host.start("trap '' TERM; echo $$; while :; do read -r -t 600 < <(:); done")
    pid = await pid_of(running)
    await running.terminate()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(10)
    assert not lives(pid)


async def test_closing_a_host_ends_its_commands(host: Host) -> None:
    pid = await pid_of(await host.start("echo $$; exec sleep 600"))
    await host.close()
    assert not lives(pid)


async def test_a_file_is_put_whole_and_once(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "a folder's" / "file"
    target.parent.mkdir()
    data = os.urandom(300_000)
    await host.put(data, str(target), mode=0o640)
    first = target.stat()
    assert target.read_bytes() == data
    assert first.st_mode & 0o777 == 0o640
    await host.put(data, str(target), mode=0o640)
    assert target.stat().st_ino == first.st_ino
    await host.put(b"other", str(target))
    assert target.read_bytes() == b"other"
    assert list(target.parent.iterdir()) == [target]


async def test_a_file_that_cannot_be_put_leaves_what_was_there(host: Host, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="No such file") as caught:
        await host.put(b"x", str(tmp_path / "nowhere" / "file"))
    assert caught.value.code == "host_file"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    with pytest.raises(BackendError):
        await host.put(b"x", f"{tmp_path}/nowhere/../folder/kept/below")
    assert [each.name for each in (tmp_path / "folder").iterdir()] == ["kept"]


async def test_a_port_is_reached_through_a_socket_of_this_user_alone(host: Host) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as far:
        port = far.sockets[0].getsockname()[1]
        async with host.forward(port) as path:
            assert path.parent.stat().st_mode & 0o777 == 0o700
            for data in (b"one", os.urandom(500_000)):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(data)
                writer.write_eof()
                assert await reader.read() == data
                writer.close()
    assert not path.exists()


async def test_a_port_where_nobody_listens_ends_the_connection(host: Host) -> None:
    async with host.forward(closed_port()) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        writer.close()
