"""Who may ask: holders of a key; without keys, programs of this machine alone."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from trueup.config.secret import Secret
from trueup.errors import ConfigError, RequestError
from trueup.gateway.exchange import Exchange

OPEN_PATHS = frozenset({"/health", "/ready", "/version"})


class Access:
    """Checks requests against `api_keys`; an empty sequence means that there is no key."""

    def __init__(self, api_keys: Sequence[Secret]) -> None:
        self._keys = tuple(key.reveal().encode() for key in api_keys)

    def check_host(self, host: str) -> None:
        """See that a server without a key is not offered to the network.

        Raises:
            ConfigError: it would be.
        """
        if not self._keys and not is_loopback(host):
            raise ConfigError(
                f"`{host}` can be reached from other machines and no key is set",
                where="server.host",
                hint="set TRUEUP_API_KEY, or leave the host at 127.0.0.1",
            )

    def check(self, exchange: Exchange) -> None:
        """Let a request pass or not.

        Raises:
            RequestError: 401 for a missing or wrong key, 403 for a web page's request.
        """
        if not self._keys:
            self._check_origin(exchange)
        elif exchange.path not in OPEN_PATHS:
            self._check_key(exchange)

    def _check_key(self, exchange: Exchange) -> None:
        scheme, _, given = (exchange.header("authorization") or "").partition(" ")
        key = given.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else b""
        # Every key is compared: the time taken says nothing about which one was near.
        if not any([hmac.compare_digest(key, each) for each in self._keys]):
            raise RequestError(
                "the API key is not one of this server's" if key else "no API key is given",
                code="invalid_api_key",
                status=401,
                where="Authorization",
                hint="send `Authorization: Bearer KEY` with the server's TRUEUP_API_KEY",
            )

    def _check_origin(self, exchange: Exchange) -> None:
        """A page in the user's browser reaches loopback ports; its Host or Origin tells."""
        host = exchange.header("host")
        origin = exchange.header("origin")
        for name, stated in (("Host", f"//{host}" if host else None), ("Origin", origin)):
            if stated is not None and not _names_loopback(stated):
                raise RequestError(
                    f"the header `{name}` names `{stated.removeprefix('//')}`; without a key "
                    "only programs of this machine may ask",
                    code="forbidden_origin",
                    status=403,
                    where=name,
                    hint="set TRUEUP_API_KEY for the server and send it as the key",
                )


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by a name or an address that never leaves it."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _names_loopback(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
