from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.sshd import Sshd, sshd
from trueup.backends.hosts.host import Host
from trueup.backends.hosts.local import LocalHost
from trueup.backends.hosts.ssh import SshHost


@pytest.fixture(scope="session")
def _shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def server(_shared_server: Sshd) -> Sshd:
    """A server for all tests that leave it as it is, or start it again."""
    if _shared_server.process is None:
        _shared_server.start()
    return _shared_server


@pytest.fixture
async def remote(server: Sshd) -> AsyncIterator[SshHost]:
    host = SshHost(server.settings)
    yield host
    await host.close()


@pytest.fixture(params=["local", "ssh"])
async def host(request: pytest.FixtureRequest, server: Sshd) -> AsyncIterator[Host]:
    """This machine, plain and over SSH: there is to be no difference."""
    async with AsyncExitStack() as stack:
        found = LocalHost() if request.param == "local" else SshHost(server.settings)
        stack.push_async_callback(found.close)
        yield found
