"""What a failed request to a hub means, in words of its own for each kind of failure.

The clients of the hubs share no errors, and wrap each other's: the whole chain is looked at, by
status first, then by what the operating system said, then by the names of classes.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from trueup.checkpoint.hub.fault_status import status_error
from trueup.checkpoint.hub.service import OFFLINE_VARIABLES, Service, offline_variable
from trueup.errors import HubError

CHAIN_LIMIT = 12
TIMEOUTS = {"ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout", "Timeout"}
CONNECTING = {"ConnectError", "ConnectionError", "NewConnectionError", "ConnectionRefusedError"}
BROKEN = {"RemoteProtocolError", "ReadError", "ChunkedEncodingError", "IncompleteRead"}
NOT_A_HUB = {"FileMetadataError", "JSONDecodeError", "NotAHubAnswer"}
# Of the clients, for a scheme that they do not speak or need a package for.
PROXY_UNUSABLE = {"ImportError", "InvalidSchema", "InvalidProxyURL", "UnsupportedProtocol"}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# httpx says "407 Proxy Authentication Required", http.client "Tunnel connection failed: 407 ...";
# the same digits may stand in a port or an object's address.
WANTS_A_PASSWORD = re.compile(r"(?:^|Tunnel connection failed: )407\b")
DENIED = {errno.EACCES, errno.EROFS, errno.EPERM}
AGAIN = "the same command goes on with what came so far"


class NotAHubAnswer(Exception):
    """An answer that came with success and is not what a hub says."""


def explained(
    error: BaseException, name: str, *, service: Service, endpoint: str, is_signed_in: bool
) -> HubError:
    """The error to show for a request about the model `name`; `error` is its cause."""
    chain = list(_chain(error))
    for each in chain:
        if isinstance(each, HubError):
            return each
    for each in chain:
        answer = getattr(each, "response", None)
        status = getattr(answer, "status_code", None)
        if isinstance(status, int) and status >= 400:
            proxy = proxy_of(endpoint)
            if status == 407 and proxy is not None:
                return _proxy_refuses(proxy)
            return status_error(
                status,
                _headers(answer),
                name=name,
                service=service,
                endpoint=endpoint,
                url=str(getattr(answer, "url", endpoint)),
                is_signed_in=is_signed_in,
            )
    return _system_error(chain, name, service, endpoint) or _class_error(
        chain, name, service, endpoint
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(CHAIN_LIMIT):
        if current is None:
            return
        yield current
        for argument in getattr(current, "args", ()):  # requests puts its cause there
            if isinstance(argument, BaseException):
                yield argument
                if reason := getattr(argument, "reason", None):
                    yield from (reason,) if isinstance(reason, BaseException) else ()
        current = current.__cause__ or current.__context__


def _headers(answer: Any) -> Mapping[str, str]:
    try:
        return {str(key).lower(): str(value) for key, value in answer.headers.items()}
    except AttributeError:
        return {}


def _system_error(
    chain: list[BaseException], name: str, service: Service, endpoint: str
) -> HubError | None:
    host = urlsplit(endpoint).hostname or endpoint
    for each in chain:
        if isinstance(each, OSError) and each.errno in FULL:
            return HubError(
                f"the disk is full: `{name}` cannot be kept: {each.strerror}",
                where=_file_of(each),
                kind="disk",
                hint=f"make room, or set {service.home_variable} to a folder on a larger disk",
            )
        if isinstance(each, OSError) and each.errno in DENIED and each.filename:
            return HubError(
                f"the folder of downloads cannot be written: {each.strerror}",
                where=_file_of(each),
                kind="disk",
                hint=f"set {service.home_variable} to a folder that can be written",
            )
        if isinstance(each, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(each):
            return HubError(
                f"the certificate of `{host}` is not trusted: {_one_line(each)}",
                where=endpoint,
                kind="network",
                hint="a proxy that reads along has its own: set SSL_CERT_FILE to its certificate",
            )
        if isinstance(each, socket.gaierror):
            proxy = proxy_of(endpoint)
            unknown = urlsplit(proxy).hostname if proxy else host
            return HubError(
                f"the name `{unknown}` is not known here (DNS): {each.strerror}",
                where=f"the proxy {proxy}" if proxy else endpoint,
                kind="network",
                hint=_unreachable_hint(service),
            )
    return None


def _class_error(
    chain: list[BaseException], name: str, service: Service, endpoint: str
) -> HubError:
    host = urlsplit(endpoint).hostname or endpoint
    names = {kind.__name__ for each in chain for kind in type(each).__mro__}
    proxy = proxy_of(endpoint)
    error = chain[0]
    if "OfflineModeIsEnabled" in names:
        return offline_error(name)
    if "ProxyError" in names:
        refused = any(WANTS_A_PASSWORD.search(str(each)) for each in chain)
        return _proxy_refuses(proxy) if refused else _proxy_unreachable(proxy, error)
    if names & TIMEOUTS or any(isinstance(each, TimeoutError) for each in chain):
        return HubError(
            f"`{host}` did not answer in time", where=endpoint, kind="network", hint=AGAIN
        )
    if names & BROKEN:
        return HubError(
            f"the connection to `{host}` broke off in the middle of `{name}`",
            where=endpoint,
            kind="network",
            hint=AGAIN,
        )
    if names & CONNECTING:
        if proxy is not None:
            return _proxy_unreachable(proxy, error)
        return HubError(
            f"no connection to `{host}`: {_reason(chain)}",
            where=endpoint,
            kind="network",
            hint=_unreachable_hint(service),
        )
    if proxy is not None and (names & PROXY_UNUSABLE or "proxy url" in str(error).lower()):
        return _proxy_unusable(proxy, error)
    if names & NOT_A_HUB:
        return page_error(endpoint, service)
    if any("Consistency check failed" in str(each) for each in chain):
        return HubError(
            f"a file of `{name}` came incomplete", where=endpoint, kind="network", hint=AGAIN
        )
    return HubError(
        f"`{name}` could not be had: {type(error).__name__}: {_one_line(error)}",
        where=endpoint,
        kind="network",
    )


def page_error(url: str, service: Service) -> HubError:
    """A web page, or anything that is no hub's, came with success."""
    return HubError(
        f"what answers at `{url}` is not a hub: a web page came instead, such as the sign-in page "
        "of a network or of a proxy",
        where=url,
        kind="network",
        hint="open any page in a browser to sign in to the network, or correct "
        f"{service.endpoint_variables[0]}",
    )


def _unreachable_hint(service: Service) -> str:
    return (
        "without network, HF_HUB_OFFLINE=1 uses what the cache has; "
        f"{service.endpoint_variables[0]} names a mirror"
    )


def offline_error(name: str, revision: str | None = None) -> HubError:
    """The hub must not be asked."""
    variable = offline_variable() or OFFLINE_VARIABLES[0]
    at_revision = f" at revision `{revision}`" if revision else ""
    return HubError(
        f"`{name}`{at_revision} is neither a directory nor a hub id in the cache, and {variable} "
        "forbids to ask the hub",
        where=variable,
        kind="offline",
        hint=f"unset {variable}, or give a directory",
    )


def proxy_of(endpoint: str) -> str | None:
    """The proxy that requests to `endpoint` go through, without its password."""
    parts = urlsplit(endpoint)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return re.sub(r"//[^/@]*@", "//", proxy) if proxy else None


def _proxy_refuses(proxy: str | None) -> HubError:
    return HubError(
        "the proxy wants a name and a password (407)",
        where=proxy or "the proxy",
        kind="denied",
        hint="set them in HTTPS_PROXY: http://NAME:PASSWORD@HOST:PORT",
    )


def _proxy_unreachable(proxy: str | None, error: BaseException) -> HubError:
    variable = "HTTPS_PROXY" if os.environ.get("HTTPS_PROXY") else "https_proxy"
    return HubError(
        f"the proxy `{proxy or 'that is set'}` does not connect: {_one_line(error)}",
        where=proxy or variable,
        kind="network",
        hint=f"correct {variable}, or unset it; hosts to ask without it stand in NO_PROXY",
    )


def _proxy_unusable(proxy: str, error: BaseException) -> HubError:
    said = _one_line(error)
    hint = "correct it, or unset it: http://HOST:PORT"
    if "SOCKS" in said:
        hint = f"pip install {'socksio' if 'socksio' in said else 'pysocks'}"
    return HubError(
        f"the proxy `{proxy}` cannot be used: {said}", where=proxy, kind="network", hint=hint
    )


def _reason(chain: list[BaseException]) -> str:
    """What the system says, which is shorter than what the clients make of it."""
    for each in reversed(chain):
        if isinstance(each, OSError) and each.strerror and each.errno:
            return each.strerror
    return _one_line(chain[0])


def _file_of(error: OSError) -> str | None:
    return str(error.filename) if error.filename else None


def _one_line(error: BaseException) -> str:
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return re.sub(r"//[^/@\s]*@", "//", line.strip())[:200]
