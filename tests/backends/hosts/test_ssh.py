"""One connection for all, and what happens when it breaks."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import psutil
import pytest

from tests.backends.hosts.test_hosts import SECONDS, lives, pid_of
from tests.sshd import Sshd
from trueup.backends.hosts import ssh_options
from trueup.backends.hosts.host import HostLost
from trueup.backends.hosts.ssh import SshHost, host_of
from trueup.errors import BackendError


async def test_all_that_runs_at_once_shares_one_connection(remote: SshHost) -> None:
    command = 'echo "$SSH_CONNECTION"'
    found = await asyncio.gather(*(remote.run(command, seconds=SECONDS) for _ in range(5)))
    # It has the port that the connection came from.
    assert len({each.stdout for each in found}) == 1
    assert found[0].stdout.startswith(b"127.0.0.1 ")


async def test_backends_on_one_host_share_it_until_the_last_is_closed(server: Sshd) -> None:
    first, second = host_of(server.settings), host_of(server.settings)
    assert first is second
    running = await first.start("echo $$; cat")
    pid = await pid_of(running)
    await first.close()
    await running.write(b"still\n")
    assert await running.readline() == b"still\n"
    await second.close()
    assert not lives(pid)
    assert host_of(server.settings) is not first


async def test_a_broken_connection_is_told_to_all_and_made_again(
    server: Sshd, remote: SshHost
) -> None:
    running = await remote.start("echo $$; exec sleep 600")
    pid = await pid_of(running)
    waiting = [
        asyncio.create_task(each)  # type: ignore[arg-type]
        for each in (running.readline(), running.wait(), remote.run("sleep 600", seconds=SECONDS))
    ]
    # A command that is answered after them: they have been sent.
    await remote.run("true", seconds=SECONDS)
    server.drop_connections()
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, HostLost), error
        assert (error.code, error.retryable) == ("host_connection_lost", True)
        assert "dropped" in error.cause
    with pytest.raises(HostLost):
        await running.write(b"x")
    assert lives(pid)
    psutil.Process(pid).kill()
    assert (await remote.run("echo again", seconds=SECONDS)).stdout == b"again\n"


async def test_a_connection_that_fell_silent_is_given_up(
    server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_options, "KEEPALIVE_SECONDS", 0.2)
    host = SshHost(server.settings)
    running = await host.start("cat")
    with server.frozen(), pytest.raises(HostLost, match="dropped"):
        await running.readline()
    await host.close()


async def test_a_host_that_went_down_is_refused_until_it_is_up(
    server: Sshd, remote: SshHost
) -> None:
    await remote.connect()
    server.kill()
    error: BackendError = HostLost("", where="")
    while isinstance(error, HostLost):  # until the connection is seen to be gone
        with pytest.raises(BackendError) as caught:
            await remote.run("true", seconds=SECONDS)
        error = caught.value
    assert error.code == "ssh_refused"
    assert error.cause == f"nothing listens on 127.0.0.1:{server.port}"
    server.start()
    assert (await remote.run("true", seconds=SECONDS)).status == 0


async def test_a_forwarded_port_goes_on_over_the_next_connection(
    server: Sshd, remote: SshHost
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        await reader.read()
        writer.close()

    far = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with far, remote.forward(far.sockets[0].getsockname()[1]) as path:
        reader, first = await asyncio.open_unix_connection(path)
        assert await reader.readline() == b"hello\n"
        server.drop_connections()
        assert await reader.read() == b""
        reader, second = await asyncio.open_unix_connection(path)
        assert await reader.readline() == b"hello\n"
        first.close()
        second.close()


async def test_a_host_that_gives_no_more_sessions_says_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from tests.sshd import sshd

    with sshd(tmp_path_factory.mktemp("few"), "MaxSessions 1\n") as few:
        host = SshHost(few.settings)
        running = await host.start("cat")
        with pytest.raises(BackendError, match="opens no session") as caught:
            await host.run("true", seconds=SECONDS)
        assert caught.value.code == "ssh_session"
        await running.terminate()
        await host.close()


def test_without_a_host_asyncssh_is_not_imported() -> None:
    names = "trueup, trueup.gateway.app, trueup.backends.llamafactory.opening, trueup.cli.backends"
    code = f"import sys, {names}; assert 'asyncssh' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
