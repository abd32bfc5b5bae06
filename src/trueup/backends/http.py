"""Foreign servers: their addresses, the heads of our requests, a failed connection in our words.

Nothing here knows of models or of OpenAI's wire.
"""

from __future__ import annotations

from yarl import URL

from trueup import __version__
from trueup.backends.http_client import Endpoint, request_head
from trueup.backends.http_fault import HttpFault
from trueup.config.settings import BackendSettings
from trueup.errors import BackendError, ConfigError

ENDPOINTS = ("/chat/completions", "/completions", "/embeddings")


class Address:
    """Where a server is: the base of its API (mostly `…/v1`) and its root.

    `http://host:port`, `…/v1` and `…/v1/` are the same; another path is the API's own base.
    """

    def __init__(self, url: str, *, where: str = "") -> None:
        """Raises: ConfigError for what is no such URL, or carries a password or a query."""
        self.base = _base_of(url, where)
        path = self.base.path.rstrip("/")
        self.root = self.base.with_path(path.removesuffix("/v1") or "/")

    def __str__(self) -> str:
        return str(self.base)

    @property
    def endpoint(self) -> Endpoint:
        """Where to connect."""
        host, port = self.base.raw_host or "", self.base.port or 0
        return Endpoint(host=host, port=port, is_tls=self.base.scheme == "https")

    @property
    def host(self) -> str:
        """What the header `Host` says."""
        return self.base.host_port_subcomponent or ""

    def of(self, path: str) -> URL:
        """The URL of a path of ours, `/v1/…`."""
        return _below(self.base, path.removeprefix("/v1"))

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


def fault_of(name: str, address: Address, fault: HttpFault, *, in_body: bool) -> BackendError:
    """The failure in our words; the same request may succeed elsewhere or later."""
    hint = None
    if in_body:
        code, what = "backend_broke_off", "broke off its answer"
    elif fault.is_ours:
        code, what, hint = "too_many_files", "cannot be reached", "raise the limit: ulimit -n 65536"
    elif fault.is_connecting:
        code, what = "backend_unreachable", "cannot be reached"
        hint = f"is it running? curl {address}/models"
    else:
        code, what = "backend_closed", "gave no answer"
    return BackendError(
        f"`{name}` at {address} {what}: {fault}",
        retryable=True,
        code=code,
        where=name,
        hint=hint,
    )


class RequestHeads:
    """The heads of requests, as far as they are always the same; its repr shows no key."""

    def __init__(self, settings: BackendSettings, address: Address) -> None:
        """Raises: ConfigError for a key that cannot be sent."""
        self._address = address
        self._known: dict[tuple[str, str], bytes] = {}
        self._headers = {
            "User-Agent": f"trueup/{__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        if settings.api_key is not None:
            key = settings.api_key.reveal()
            if not (key.isascii() and key.isprintable()):
                raise ConfigError(
                    f"the key of `{settings.name}` has a character that no header can carry",
                    where=settings.place or None,
                    hint="`api_key` is ASCII without line breaks",
                )
            self._headers["Authorization"] = f"Bearer {key}"

    def of(self, method: str, path: str) -> bytes:
        """The head of a request for a path of ours, or one below the server's root."""
        head = self._known.get((method, path))
        if head is None:
            address = self._address
            url = address.of(path) if path.startswith("/v1/") else address.below_root(path)
            head = request_head(method, url.raw_path, address.host, self._headers)
            self._known[method, path] = head
        return head
