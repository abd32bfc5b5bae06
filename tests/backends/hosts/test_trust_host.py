"""`trueup backends trust-host` against a real sshd."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sshd import Sshd, sshd

CONFIG = """\
config_version: 1
backends:
  tuned:
    preset: llamafactory
    base_model_path: /models/base
    host: 127.0.0.1
    port: {port}
    user: someone
  here:
    preset: llamafactory
    base_model_path: /models/base
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    (tmp_path / "sshd").mkdir()
    with sshd(tmp_path / "sshd") as server:
        yield server


class Shell:
    """A user with a home of TrueUp and a configuration of their own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.known_hosts = folder / "home" / "known_hosts"
        (folder / "trueup.yaml").write_text(CONFIG.format(port=port))
        self._environ = os.environ | {
            "TRUEUP_HOME": str(folder / "home"),
            "TRUEUP_CONFIG": str(folder / "trueup.yaml"),
        }

    def trust(self, *words: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        """The command; `typed` is what somebody answers at a terminal."""
        command = [sys.executable, "-m", "trueup", "backends", "trust-host", *words]
        ours, theirs = pty.openpty()
        try:
            if typed is not None:
                os.write(ours, f"{typed}\n".encode())
            stdin = subprocess.DEVNULL if typed is None else theirs
            return subprocess.run(
                command, stdin=stdin, env=self._environ, capture_output=True, text=True, timeout=60
            )
        finally:
            os.close(ours)
            os.close(theirs)


def fingerprint(server: Sshd) -> str:
    found = subprocess.run(
        ["ssh-keygen", "-lf", server.folder / "host_key.pub"],
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.split()[1]


def test_a_host_is_trusted_by_who_saw_its_fingerprint(server: Sshd, tmp_path: Path) -> None:
    shell = Shell(tmp_path, server.port)
    found = shell.trust("tuned")
    assert found.returncode == 2
    assert fingerprint(server) in found.stderr
    assert "stdin is no terminal" in found.stderr
    assert shell.trust("tuned", typed="n").returncode == 1
    assert not shell.known_hosts.exists()
    found = shell.trust("tuned", typed="y")
    assert found.returncode == 0, found.stderr
    key = " ".join((server.folder / "host_key.pub").read_text().split()[:2])
    assert shell.known_hosts.read_text() == f"[127.0.0.1]:{server.port} {key}\n"
    assert shell.known_hosts.stat().st_mode & 0o777 == 0o600
    found = shell.trust("tuned")
    assert (found.returncode, "is trusted already" in found.stderr) == (0, True)


def test_another_key_is_refused_loudly_until_it_is_to_be_replaced(
    server: Sshd, tmp_path: Path
) -> None:
    shell = Shell(tmp_path, server.port)
    assert shell.trust("tuned", "--yes").returncode == 0
    others = "other.example ssh-ed25519 AAAA\n# mine\n"
    before = others + shell.known_hosts.read_text()
    shell.known_hosts.write_text(before)
    server.kill()
    server.new_host_key()
    server.start()
    found = shell.trust("tuned", "--yes")
    assert found.returncode == 1
    assert "HAS CHANGED" in found.stderr
    assert shell.known_hosts.read_text() == before
    found = shell.trust("tuned", "--yes", "--replace", "--format", "json")
    assert found.returncode == 0, found.stderr
    [row] = json.loads(found.stdout)["hosts"]
    assert (row["state"], row["port"]) == ("trusted", server.port)
    assert row["keys"] == [{"algorithm": "ssh-ed25519", "fingerprint": fingerprint(server)}]
    after = shell.known_hosts.read_text()
    assert after.startswith(others)
    assert len(after.splitlines()) == 3


def test_a_backend_without_a_host_and_a_host_that_is_down(server: Sshd, tmp_path: Path) -> None:
    shell = Shell(tmp_path, server.port)
    found = shell.trust("here")
    assert (found.returncode, "has no `host`" in found.stderr) == (2, True)
    assert shell.trust("tunde").returncode == 1
    server.kill()
    found = shell.trust("tuned", "--yes")
    assert (found.returncode, "nothing listens on" in found.stderr) == (1, True)
