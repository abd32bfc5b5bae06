"""A real sshd of this user on 127.0.0.1, with keys, known hosts, settings and a home of its own.

Everything is in one folder; it is ended by its pid, and so are the processes of its connections.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from trueup.config.llamafactory_settings import HostSettings

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel ERROR
{more}
SetEnv HOME={folder}/home
"""
# Where sshd runs as root it wants it; its package has it made by what starts services.
RUN_FOLDER = Path("/run/sshd")


@dataclass(kw_only=True)
class Sshd:
    """One server; `start` and `kill` may follow each other on the same port."""

    folder: Path
    port: int
    more_settings: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def settings(self) -> HostSettings:
        """How it is reached, with a known host and a key that is let in."""
        return HostSettings(
            host="127.0.0.1",
            port=self.port,
            user=getpass.getuser(),
            key=str(self.folder / "user_key"),
            known_hosts=str(self.folder / "known_hosts"),
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        settings = self.folder / "sshd_config"
        # The first of two lines holds: a test may name a home, too.
        settings.write_text(
            SETTINGS.format(port=self.port, folder=self.folder, more=self.more_settings)
        )
        assert SSHD is not None, "no sshd here: `make test` installs it (Debian openssh-server)"
        log = self.folder / "log"
        self.process = subprocess.Popen([SSHD, "-D", "-f", settings, "-E", log])
        while not _listens(self.port):
            assert self.process.poll() is None, log.read_text()

    def kill(self) -> None:
        """End it and the processes of its connections, as a machine that goes down does."""
        if self.process is None:
            return
        for each in (*self._connections(), psutil.Process(self.process.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait(10)
        self.process = None

    def drop_connections(self) -> None:
        """End the processes of its connections alone."""
        for each in self._connections():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Its connections stay, and nothing comes over them, as when a cable is pulled."""
        held = self._connections()
        for each in held:
            each.suspend()
        try:
            yield
        finally:
            for each in held:
                each.resume()

    def _connections(self) -> list[psutil.Process]:
        """Its own processes; the commands that were started through it are none."""
        assert self.process is not None
        found = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "sshd" in each.name():
                    found.append(each)
        return found

    def new_host_key(self) -> None:
        """Take another host key, which nobody knows yet; it is that of the next start."""
        for path in self.folder.glob("host_key*"):
            path.unlink()
        make_key(self.folder / "host_key")

    def know_host(self) -> None:
        """Write its host key to its file of known hosts."""
        key = (self.folder / "host_key.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")


@contextmanager
def sshd(folder: Path, more_settings: str = "") -> Iterator[Sshd]:
    """A server that runs, whose settings a client of ours can take as they are."""
    with contextlib.suppress(PermissionError):
        RUN_FOLDER.mkdir(mode=0o755, exist_ok=True)
    (folder / "home").mkdir()
    make_key(folder / "host_key")
    make_key(folder / "user_key")
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Sshd(folder=folder, port=port, more_settings=more_settings)
    server.know_host()
    server.start()
    try:
        yield server
    finally:
        server.kill()


def make_key(path: Path, passphrase: str = "") -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", path], check=True
    )


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False
