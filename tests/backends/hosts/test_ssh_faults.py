"""Why a host cannot be reached: each cause is made, and has words and a code of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import psutil
import pytest

from tests.backends.hosts.test_hosts import closed_port
from tests.sshd import Sshd, make_key, sshd
from trueup.backends.hosts import ssh_options
from trueup.backends.hosts.known_hosts import trust
from trueup.backends.hosts.ssh import SshHost
from trueup.backends.hosts.trust import hops_of, offer_of
from trueup.config.llamafactory_settings import HostSettings
from trueup.errors import BackendError, ConfigError

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys and no agent of whoever runs the tests."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home" / "trueup"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


async def fault(settings: HostSettings) -> BackendError:
    host = SshHost(settings)
    with pytest.raises(BackendError) as caught:
        await host.connect()
    await host.close()
    assert caught.value.hint
    return caught.value


async def works(settings: HostSettings) -> bool:
    host = SshHost(settings)
    found = await host.run("echo in", seconds=30)
    await host.close()
    return found.stdout == b"in\n"


async def test_no_such_host(server: Sshd) -> None:
    found = await fault(replace(server.settings, host="no-such-host.invalid"))
    assert (found.code, found.retryable) == ("ssh_host_unknown", True)
    assert "there is no host `no-such-host.invalid`" in found.cause


async def test_nothing_listens(server: Sshd) -> None:
    port = closed_port()
    found = await fault(replace(server.settings, port=port))
    assert (found.code, found.cause) == ("ssh_refused", f"nothing listens on 127.0.0.1:{port}")


async def test_a_host_that_never_answers(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_options, "CONNECT_SECONDS", 0.3)
    held = []
    far = await asyncio.start_server(lambda *streams: held.append(streams), "127.0.0.1", 0)
    port = far.sockets[0].getsockname()[1]
    found = await fault(replace(server.settings, port=port))
    assert (found.code, found.cause) == ("ssh_timeout", f"127.0.0.1:{port} does not answer")
    far.close()
    for _, writer in held:
        writer.close()


async def test_what_listens_is_no_ssh_server(server: Sshd) -> None:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 500)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as far:
        found = await fault(replace(server.settings, port=far.sockets[0].getsockname()[1]))
    assert found.code == "ssh_protocol"


async def test_a_host_that_nobody_knows(server: Sshd, tmp_path: Path) -> None:
    found = await fault(replace(server.settings, known_hosts=str(tmp_path / "none")))
    key = (server.folder / "host_key.pub").read_text()
    assert found.code == "ssh_host_key"
    assert "is not trusted" in found.cause
    assert asyncssh.import_public_key(key).get_fingerprint() in found.cause
    assert "trust-host" in str(found.hint)
    # Without a file named it is TrueUp's own, never that of this user.
    found = await fault(replace(server.settings, known_hosts=None))
    assert str(tmp_path / "home" / "trueup" / "known_hosts") in found.cause


async def test_a_host_whose_key_has_changed(server: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    known = tmp_path / "known_hosts"
    name = f"[127.0.0.1]:{server.port}"
    known.write_text(f"{name} {(tmp_path / 'other.pub').read_text()}")
    found = await fault(replace(server.settings, known_hosts=str(known)))
    assert found.code == "ssh_host_key"
    assert "HAS CHANGED" in found.cause
    assert str(found.hint).endswith("trueup backends trust-host NAME --replace")
    assert not found.retryable
    key = (server.folder / "host_key.pub").read_text()
    known.write_text(f"{name} {key}@revoked {name} {key}")
    found = await fault(replace(server.settings, known_hosts=str(known)))
    assert "is marked as revoked" in found.cause


async def test_a_file_of_known_hosts_that_is_none(server: Sshd, tmp_path: Path) -> None:
    for text in (b"one-word\n", b"\xff\xfe\n"):
        (tmp_path / "known").write_bytes(text)
        host = SshHost(replace(server.settings, known_hosts=str(tmp_path / "known")))
        with pytest.raises(ConfigError) as caught:
            await host.connect()
        assert caught.value.where == str(tmp_path / "known")


async def test_a_key_that_is_not_let_in(server: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    found = await fault(replace(server.settings, key=str(tmp_path / "stranger")))
    assert (found.code, found.retryable) == ("ssh_auth", False)
    assert f"SSH key `{tmp_path}/stranger` rejected for {server.settings.user}" in found.cause


async def test_keys_that_cannot_be_used(server: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "encrypted", "secret words")
    (tmp_path / "broken").write_text("no key\n")
    (tmp_path / "folder").mkdir()
    words = {
        "missing": "No such file",
        "encrypted": "is encrypted",
        "broken": "cannot be used",
        "folder": "Is a directory",
    }
    for name, said in words.items():
        found = await fault(replace(server.settings, key=str(tmp_path / name)))
        assert found.code == "ssh_auth"
        assert said in found.cause
        assert str(tmp_path / name) in found.cause


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # it is said when it listens
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    process.terminate()
    process.stdout.close()
    process.wait(10)


async def test_an_agent_is_asked_only_where_that_is_said(server: Sshd, agent: Path) -> None:
    settings = replace(server.settings, key=None, agent=True)
    found = await fault(settings)
    assert "keys of the SSH agent rejected" in found.cause
    key = server.folder / "user_key"
    add = ["ssh-add", "-q", str(key)]
    await asyncio.to_thread(subprocess.run, add, check=True, capture_output=True)
    assert await works(settings)
    found = await fault(replace(settings, agent=False))
    assert "SSH keys of this user rejected" in found.cause


async def test_an_agent_that_does_not_run(server: Sshd) -> None:
    found = await fault(replace(server.settings, key=None, agent=True))
    assert found.code == "ssh_auth"
    assert "no SSH agent runs" in found.cause


class Passwords(asyncssh.SSHServer):
    """Lets in by password, which a real sshd does by this system's own accounts alone."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("someone", "right")


async def test_a_password_comes_from_its_variable(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = asyncssh.read_private_key(str(server.folder / "host_key"))
    listener = await asyncssh.create_server(
        Passwords, "127.0.0.1", 0, server_host_keys=[key],
        process_factory=lambda process: process.exit(0),
    )  # fmt: skip
    port = listener.get_port()
    (tmp_path / "known").write_text(
        f"[127.0.0.1]:{port} {(server.folder / 'host_key.pub').read_text()}"
    )
    settings = HostSettings(
        host="127.0.0.1", port=port, user="someone", password_env="THE_PASSWORD",
        known_hosts=str(tmp_path / "known"),
    )  # fmt: skip
    monkeypatch.delenv("THE_PASSWORD", raising=False)
    found = await fault(settings)
    assert found.cause == "the environment variable `THE_PASSWORD` holds no password"
    monkeypatch.setenv("THE_PASSWORD", "wrong")
    found = await fault(settings)
    assert (found.code, "password of `THE_PASSWORD` rejected" in found.cause) == ("ssh_auth", True)
    assert "wrong" not in f"{found.cause} {found.hint}"
    monkeypatch.setenv("THE_PASSWORD", "right")
    host = SshHost(settings)
    await host.connect()
    await host.close()
    listener.close()
    await listener.wait_closed()


async def test_a_host_on_the_way(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "behind").mkdir()
    with sshd(tmp_path / "behind") as behind:
        both = tmp_path / "known"
        texts = [(each.folder / "known_hosts").read_text() for each in (server, behind)]
        both.write_text("".join(texts))
        keys = (server.folder / "user_key.pub").read_text()
        (behind.folder / "authorized_keys").write_text(keys)
        way = f"{server.settings.user}@127.0.0.1:{server.port}"
        settings = replace(server.settings, port=behind.port, known_hosts=str(both), proxy_jump=way)
        assert await works(settings)
        assert await works(replace(settings, proxy_jump=f"{way}, {way}"))

        both.write_text(texts[1])
        found = await fault(settings)
        assert found.code == "ssh_jump"
        assert f"the host on the way, `{way}`: the host key of" in found.cause
        both.write_text(texts[0])
        assert (await fault(settings)).code == "ssh_host_key"
        found = await fault(replace(settings, proxy_jump=f"127.0.0.1:{closed_port()}"))
        assert found.code == "ssh_jump"
        both.write_text("".join(texts))
        behind.kill()
        found = await fault(settings)
        assert found.code == "ssh_refused"
        assert f"from `{way}`" in found.cause
    host = SshHost(replace(settings, proxy_jump="way:port"))
    with pytest.raises(ConfigError, match="names no port"):
        await host.connect()


async def test_a_way_whose_end_broke_is_left(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "behind").mkdir()
    with sshd(tmp_path / "behind") as behind:
        shutil.copy(server.folder / "user_key.pub", behind.folder / "authorized_keys")
        both = tmp_path / "known"
        both.write_text(
            "".join((each.folder / "known_hosts").read_text() for each in (server, behind))
        )
        way = f"{server.settings.user}@127.0.0.1:{server.port}"
        host = SshHost(
            replace(server.settings, port=behind.port, known_hosts=str(both), proxy_jump=way)
        )
        await host.connect()
        before = ways_through(server)
        for _ in range(2):
            behind.drop_connections()
            async with asyncio.timeout(30):
                while True:
                    try:
                        await host.run("true", seconds=30)
                        break
                    except BackendError:
                        await asyncio.sleep(0.05)
        for _ in range(200):
            if ways_through(server) <= before:
                break
            await asyncio.sleep(0.05)
        assert ways_through(server) <= before
        await host.close()


def ways_through(server: Sshd) -> int:
    assert server.process is not None
    return len(psutil.Process(server.process.pid).children(recursive=True))


async def test_a_file_that_leads_all_hosts_through_one_leads_to_that_one_too(
    server: Sshd, tmp_path: Path
) -> None:
    (tmp_path / "behind").mkdir()
    with sshd(tmp_path / "behind") as behind:
        shutil.copy(server.folder / "user_key.pub", behind.folder / "authorized_keys")
        both = tmp_path / "known"
        both.write_text(
            "".join((each.folder / "known_hosts").read_text() for each in (server, behind))
        )
        config = tmp_path / "config"
        config.write_text(
            f"Host gate\n  Port {server.port}\nHost tuned\n  Port {behind.port}\n"
            f"Host *\n  HostName 127.0.0.1\n  User {server.settings.user}\n  ProxyJump gate\n"
        )
        settings = HostSettings(
            host="tuned",
            key=server.settings.key,
            known_hosts=str(both),
            ssh_config=str(config),
        )
        assert [each.host for each in await hops_of(settings)] == ["gate", "tuned"]
        assert await works(settings)


async def test_hosts_on_the_way_are_trusted_one_after_another(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "behind").mkdir()
    with sshd(tmp_path / "behind") as behind:
        known = tmp_path / "known"
        settings = replace(
            server.settings,
            port=behind.port,
            known_hosts=str(known),
            proxy_jump=f"{server.settings.user}@127.0.0.1:{server.port}",
        )
        shutil.copy(server.folder / "user_key.pub", behind.folder / "authorized_keys")
        way, last = await hops_of(settings)
        assert (way.port, last.port) == (server.port, behind.port)
        with pytest.raises(BackendError) as caught:
            await offer_of(last)
        assert caught.value.code == "ssh_jump"
        for hop, host in ((way, server), (last, behind)):
            offer = await offer_of(hop)
            assert (offer.port, offer.is_known, offer.is_changed) == (host.port, False, False)
            [key] = offer.keys
            assert key.text == " ".join((host.folder / "host_key.pub").read_text().split()[:2])
            trust(known, offer.host, offer.port, offer.keys)
        assert await works(settings)
        assert (await offer_of(last)).is_known


async def test_a_file_of_settings_is_read_where_it_is_named(server: Sshd, tmp_path: Path) -> None:
    text = (
        f"Host tuned\n  HostName 127.0.0.1\n  Port {server.port}\n"
        f"  User {server.settings.user}\n  IdentityFile {server.folder}/user_key\n"
    )
    own = Path(os.environ["HOME"]) / ".ssh"
    own.mkdir()
    (own / "config").write_text(text)
    known = str(server.folder / "known_hosts")
    plain = HostSettings(host="tuned", known_hosts=known)
    assert (await fault(plain)).code == "ssh_host_unknown"
    assert await works(replace(plain, ssh_config="~/.ssh/config"))
    with pytest.raises(ConfigError, match="does not exist"):
        await SshHost(replace(plain, ssh_config=str(tmp_path / "none"))).connect()
    (own / "config").write_text("Port none\n")
    with pytest.raises(ConfigError) as caught:
        await SshHost(replace(plain, ssh_config="~/.ssh/config")).connect()
    assert caught.value.where == "~/.ssh/config"
