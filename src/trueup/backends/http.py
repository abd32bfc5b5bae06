"""The HTTP of foreign servers: addresses, sessions, and what aiohttp's failures mean in our words.

Nothing here knows of models or of OpenAI's wire; aiohttp's exceptions end in this module.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from typing import Any
from weakref import WeakSet

import aiohttp
from yarl import URL

from trueup.errors import BackendError, ConfigError

READ_BUFFER_BYTES = 2**18
MAX_LINE_BYTES = 2**14
# Idle connections are given up before a server that is served by uvicorn (5 s) gives them up.
KEEP_ALIVE_SECONDS = 4.0
ENDPOINTS = ("/chat/completions", "/completions", "/embeddings")
SERVER_ERROR = 500
# Connections that have brought an answer.
_served: WeakSet[object] = WeakSet()

# What `aiohttp` can raise while a request is asked and its answer read.
FAILURES = (aiohttp.ClientError, TimeoutError, OSError)


class Address:
    """Where a server is: the base of its API (mostly `…/v1`) and its root.

    `http://host:port`, `…/v1` and `…/v1/` are the same; another path is the API's own base.
    """

    def __init__(self, url: str, *, where: str = "") -> None:
        """Raises: ConfigError for what is no such URL, or carries a password or a query."""
        self.base = _base_of(url, where)
        path = self.base.path.rstrip("/")
        self.root = self.base.with_path(path.removesuffix("/v1") or "/")
        self._known: dict[str, URL] = {}

    def __str__(self) -> str:
        return str(self.base)

    def of(self, path: str) -> URL:
        """The URL of a path of ours, `/v1/…`."""
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = _below(self.base, path.removeprefix("/v1"))
        return found

    def below_root(self, path: str) -> URL:
        """The URL of a path beside the API."""
        return _below(self.root, path)


def _base_of(text: str, where: str) -> URL:
    try:
        url = URL(text.strip())
        port = url.port
    except ValueError:
        url, port = URL(), None
    if url.scheme not in ("http", "https") or not url.raw_host or port == 0:
        raise ConfigError(
            f"`{url.with_user(None) if url.raw_host else text}` is not the URL of a server, "
            "expected for example `http://127.0.0.1:8000/v1`",
            where=where or None,
        )
    if url.user or url.password or url.query_string or url.fragment:
        # Not repeated: it may hold a key.
        raise ConfigError(
            f"the URL of {url.host} carries more than a host, a port and a path",
            where=where or None,
            hint="a key goes into `api_key`",
        )
    path = url.path.rstrip("/")
    for endpoint in ENDPOINTS:
        if path.endswith(endpoint):
            path = path.removesuffix(endpoint)
            break
    return url.with_path(path or "/v1")


def _below(url: URL, path: str) -> URL:
    return url.with_path(f"{url.path.rstrip('/')}{path}")


class IdleConnectionDiedError(aiohttp.ClientConnectionError):
    """A connection that had served before ended before a byte of this answer came."""


class _Response(aiohttp.ClientResponse):
    """A response that knows about its connection's past, and spoils its future where need be.

    After a server error the connection is not used again: Xinference resets the next request on
    it. A short body is read together with the head, and with it the connection would be back
    among the free ones before anybody else could look.
    """

    _transport: asyncio.Transport | None = None

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        self._transport = connection.transport
        try:
            await super().start(connection)
        except aiohttp.ClientError as error:
            if protocol in _served and _said_nothing(error):
                raise IdleConnectionDiedError from error
            raise
        if protocol is None:
            return self
        _served.add(protocol)
        if self.status >= SERVER_ERROR:
            if connection.protocol is None:
                protocol.close()
            else:
                protocol.force_close()
        return self

    def close(self) -> None:
        """Leave at once: a server that no longer reads would keep what was not sent for ever."""
        if self._transport is not None and self.connection is not None:
            self._transport.abort()
        super().close()


def _said_nothing(error: Exception) -> bool:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)  # else it is the head as far as it came
    return isinstance(error, aiohttp.ClientOSError)


class _CleanConnector(aiohttp.TCPConnector):
    """Keeps no connection on which something came that nobody asked for.

    aiohttp 3.14 would hand it to the next request as the beginning of its answer.
    """

    async def _get(self, key: Any, traces: Any) -> Any:
        kept = self._conns.get(key, ())
        while kept and kept[0][0].should_close:  # they are taken from the left
            kept.popleft()[0].close()
        return await super()._get(key, traces)


def open_session(
    *, connect_seconds: float, headers: dict[str, str], keeps_alive: bool
) -> aiohttp.ClientSession:
    """A session without cookies, proxies of the environment or limits but that of connecting.

    Must be called in the loop that uses it. Who is silent is watched by whoever asks.
    """
    connector = (
        _CleanConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)
        if keeps_alive
        else aiohttp.TCPConnector(limit=0, force_close=True)
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        response_class=_Response,
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds),
        trust_env=False,
        read_bufsize=READ_BUFFER_BYTES,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
    )


def unreached(error: Exception) -> bool:
    """Whether an error came before there was a connection."""
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def fault_of(name: str, address: Address, error: Exception, *, in_body: bool) -> BackendError:
    """The failure in our words; the same request may succeed elsewhere or later."""
    if in_body:
        code, what = "backend_broke_off", "broke off its answer"
    elif unreached(error):
        code, what = "backend_unreachable", "cannot be reached"
    else:
        code, what = "backend_closed", "gave no answer"
    return BackendError(
        f"`{name}` at {address} {what}: {_words(error)}",
        retryable=True,
        code=code,
        where=name,
        hint=f"curl {address}/models" if code == "backend_unreachable" else None,
    )


def _words(error: Exception) -> str:
    """What happened; aiohttp's own words are about its classes and parsers."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host is not known"
        case aiohttp.ClientConnectorCertificateError():
            reason = error.certificate_error
            return f"its certificate: {getattr(reason, 'verify_message', '') or reason}"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "no TLS connection could be made"
        case aiohttp.ConnectionTimeoutError() | TimeoutError():
            return "it took too long to connect"
        case aiohttp.ServerDisconnectedError():
            return "its connection closed"
        case aiohttp.ClientResponseError():
            return "it sent no HTTP that can be read"
        case aiohttp.ClientPayloadError():
            return _payload_words(error)
        case OSError():
            number = error.errno or 0
            if number in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
                return "its connection was reset"
            # Several addresses were tried, and the error of all has no number.
            return os.strerror(number).lower() if number > 0 else "no connection could be made"
        case _:
            return "its connection closed"


def _payload_words(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(cause, ConnectionResetError):
        return "its connection was reset"
    if isinstance(cause, aiohttp.http_exceptions.ContentEncodingError):
        return "its compressed body cannot be read"
    if isinstance(cause, aiohttp.http_exceptions.TransferEncodingError):
        told = str(cause)
        is_short = "not enough data" in told.lower()
        return "its connection closed" if is_short else "the framing of its body is broken"
    return "its connection closed"
