"""One SSH connection: made where the host key is known, through the hosts on the way."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import asyncssh

from trueup.backends.hosts.known_hosts import (
    OfferedKey,
    fingerprints_of,
    known_hosts_file,
    offered,
    read_known_hosts,
)
from trueup.backends.hosts.running import GRACE_SECONDS
from trueup.backends.hosts.ssh_faults import FAILURES, attempt_of, error_of, jump_error
from trueup.backends.hosts.ssh_options import first_hop, jump_settings, options_of
from trueup.config.llamafactory_settings import HostSettings
from trueup.errors import BackendError


class _Client(asyncssh.SSHClient):
    """What one connection saw: the key that was offered, and that it ended."""

    def __init__(self) -> None:
        self.offered: OfferedKey | None = None
        self.is_lost = False
        self.why = "it was closed"

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Note a key that no file trusts; it is not taken."""
        self.offered = offered(key)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.is_lost = True
        if exc is not None:
            self.why = " ".join(str(exc).split()) or type(exc).__name__


class Connection:
    """A connection that is up, and the one that it goes through."""

    def __init__(
        self,
        ssh: asyncssh.SSHClientConnection,
        client: _Client,
        way: Connection | None,
    ) -> None:
        self.ssh = ssh
        self.client = client
        self._way = way

    async def close(self) -> None:
        """End both, without waiting long for a host that does not answer."""
        self.ssh.close()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self.ssh.wait_closed()
        except TimeoutError:
            self.ssh.abort()
        if self._way is not None:
            await self._way.close()

    def abort(self) -> None:
        """End both at once."""
        self.ssh.abort()
        if self._way is not None:
            self._way.abort()


async def connection_to(settings: HostSettings) -> Connection:
    """One connection whose host key is known, through the host on the way where there is one.

    Raises: BackendError `ssh_…`, ConfigError.
    """
    options = await options_for(settings)
    way = await way_to(settings, options)
    try:
        return await _connected_by(settings, options, way)
    except BaseException:
        if way is not None:
            way.abort()
        raise


async def way_to(
    settings: HostSettings, options: asyncssh.SSHClientConnectionOptions
) -> Connection | None:
    """The connection to the host on the way, where there is one.

    Raises: BackendError `ssh_…`, ConfigError.
    """
    if not (jump := first_hop(options, settings)):
        return None
    try:
        return await connection_to(jump_settings(settings, jump))
    except BackendError as error:
        raise jump_error(error, jump) from error


async def options_for(settings: HostSettings) -> asyncssh.SSHClientConnectionOptions:
    """What asyncssh is told; errors as those of a connection."""
    try:
        return await options_of(settings, os.environ)
    except FAILURES as error:
        raise error_of(error, attempt_of(settings)) from error


async def _connected_by(
    settings: HostSettings,
    options: asyncssh.SSHClientConnectionOptions,
    way: Connection | None,
) -> Connection:
    path = known_hosts_file(settings)
    known = await asyncio.to_thread(read_known_hosts, path)
    client = _Client()
    attempt = replace(
        attempt_of(settings),
        host=options.host,
        port=options.port,
        user=options.username,
        known_hosts=str(path),
        expected=tuple(fingerprints_of(known, options.host, options.port)),
    )
    try:
        ssh = await asyncssh.connect(
            options.host,
            options.port,
            options=options,
            config=None,
            tunnel=None if way is None else way.ssh,
            known_hosts=known,
            client_factory=lambda: client,
        )
    except FAILURES as error:
        raise error_of(error, replace(attempt, offered=client.offered)) from error
    return Connection(ssh, client, way)
