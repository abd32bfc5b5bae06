"""Which keys a host shows, for somebody to compare before they are trusted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh

from trueup.backends.hosts.known_hosts import (
    OfferedKey,
    fingerprints_of,
    known_hosts_file,
    offered,
    read_known_hosts,
)
from trueup.backends.hosts.ssh_connection import options_for, way_to
from trueup.backends.hosts.ssh_faults import FAILURES, attempt_of, error_of
from trueup.backends.hosts.ssh_options import CONNECT_SECONDS, first_hop, jump_settings
from trueup.config.llamafactory_settings import HostSettings

# A host may have one key of each; which it shows depends on what it is asked for.
ALGORITHMS = (["ssh-ed25519"], ["ecdsa-sha2-nistp256"], ["rsa-sha2-512", "rsa-sha2-256"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a host shows, and what is known of it so far: fingerprints of the file `path`."""

    host: str
    port: int
    keys: tuple[OfferedKey, ...]
    known: tuple[str, ...]
    path: Path

    @property
    def is_known(self) -> bool:
        """A key that it shows is trusted already."""
        return any(key.fingerprint in self.known for key in self.keys)

    @property
    def is_changed(self) -> bool:
        """Others are known, and none of those that it shows."""
        return bool(self.known) and not self.is_known


async def hops_of(settings: HostSettings) -> list[HostSettings]:
    """The hosts on the way, first to last, and the host itself.

    Raises: ConfigError.
    """
    jump = first_hop(await options_for(_unsigned(settings)), settings)
    before = await hops_of(jump_settings(settings, jump)) if jump else []
    return [*before, settings]


async def offer_of(settings: HostSettings) -> Offer:
    """The keys that a host shows; nobody signs in there, only to the hosts on the way.

    Raises: BackendError `ssh_…`, ConfigError.
    """
    options = await options_for(_unsigned(settings))
    path = known_hosts_file(settings)
    known = await asyncio.to_thread(read_known_hosts, path)
    way = await way_to(settings, options)

    async def ask(algorithms: list[str]) -> OfferedKey | None:
        async with asyncio.timeout(CONNECT_SECONDS):
            key = await asyncssh.get_server_host_key(
                options.host,
                options.port,
                tunnel=None if way is None else way.ssh,
                server_host_key_algs=algorithms,
                config=None,
            )
        return None if key is None else offered(key)

    try:
        # One that has no key of a kind says so by ending the connection.
        found = await asyncio.gather(*map(ask, ALGORITHMS), return_exceptions=True)
        keys = tuple(key for key in found if isinstance(key, OfferedKey))
        if not keys:
            raise next(key for key in found if isinstance(key, BaseException))
    except FAILURES as error:
        attempt = replace(attempt_of(settings), host=options.host, port=options.port)
        raise error_of(error, attempt) from error
    finally:
        if way is not None:
            await way.close()
    return Offer(
        host=options.host,
        port=options.port,
        keys=keys,
        known=tuple(fingerprints_of(known, options.host, options.port)),
        path=path,
    )


def _unsigned(settings: HostSettings) -> HostSettings:
    """The same, without what is needed to sign in."""
    return replace(settings, key=None, agent=False, password_env=None)
