"""One HTTP request and its response, on raw ASGI: what every route needs and no more."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

import orjson

from trueup.config.settings import DEFAULT_PROFILE, PROFILES, ClientProfile, ServerSettings
from trueup.errors import RequestError
from trueup.events import Outcome, RequestFinished

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[str, str]]

# The ASGI extension under which our own HTTP protocol offers a `Wire`.
WIRE = "trueup.wire"

MAX_BODY_BYTES = ServerSettings().max_body_bytes
# For a body: so long, and longer by what came of it.
BODY_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 2**15
# They have to differ, not to be secret.
_ids = random.Random()
SANE_REQUEST_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)


class Wire(Protocol):
    """What can be done without a turn of the event loop; ASGI has no words for it."""

    def whole_body(self) -> bytes | None:
        """The body, if all of it is there and none was read; else None."""

    def write_now(self, body: bytes) -> bool:
        """Send a piece of a body under way; False where that has to wait."""

    def when_left(self, call: Callable[[], None] | None) -> None:
        """Call this when the client leaves, at once where it has left; None to call nobody."""

    def abort(self) -> None:
        """End the connection at once, whatever was not sent."""


class ClientGone(Exception):
    """The client closed its connection before its request was whole."""


class Exchange:
    """A request as it came, and what has been answered so far.

    `status` is None until a response was started; `source` is who would be to blame for an
    error; `profile`, `is_strict` and `key_name` are set by who let the request in. `model`,
    `chunks`, `error_code`, `outcome`, `dropped` and `finished` are notes for the access log.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self._peer: str = (scope.get("client") or ("",))[0]
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._by_name: dict[bytes, bytes] | None = None
        self._max_body_bytes = max_body_bytes
        self.receive = receive
        self._send = send
        self._wire: Wire | None = scope.get("extensions", {}).get(WIRE)
        asked = self.header("x-request-id")
        is_sane = asked is not None and SANE_REQUEST_ID.fullmatch(asked) is not None
        self.request_id = asked if asked and is_sane else f"req-{_ids.getrandbits(96):024x}"
        self.status: int | None = None
        self.source = "trueup"
        self.profile: ClientProfile = PROFILES[DEFAULT_PROFILE]
        self.is_strict = False
        self.key_name: str | None = None
        self.model: str | None = None
        self.chunks = 0
        self.error_code: str | None = None
        self.outcome: Outcome = "answered"
        self.body: bytes | None = None
        self.dropped: list[str] = []
        self.finished: RequestFinished | None = None
        self._extra: list[tuple[str, str]] = []

    def header(self, name: str) -> str | None:
        """The first header of that lower-case name."""
        by_name = self._by_name
        if by_name is None:
            by_name = self._by_name = dict(reversed(self._headers))
        value = by_name.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def headers_named(self, name: str) -> list[str]:
        """Every header of that lower-case name, in order."""
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self._headers if key == wanted]

    @property
    def client(self) -> str:
        """Who asks, as far as addresses and keys tell; the key cannot be read from it."""
        return f"{self._peer} {hash(self.header('authorization'))}"

    def add_header(self, name: str, value: str) -> None:
        """Have a header on the response, whatever the response will be."""
        self._extra.append((name, value))

    @property
    def media_type(self) -> str:
        """What the body is stated to be, without parameters; empty where nothing is stated."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    async def read_bytes(self) -> bytes:
        """The body as it came, whatever it is.

        Raises:
            RequestError: it is too long.
            ClientGone: the client left while it was read.
        """
        return await self._read_body()

    async def read_json(self) -> tuple[bytes, dict[str, Any]]:
        """The body, as it came and as an object.

        Raises:
            RequestError: it is too long, no JSON object, or not said to be JSON.
            ClientGone: the client left while it was read.
        """
        self._check_type()
        self.body = await self._read_body()
        return self.body, _parse(self.body)

    def _check_type(self) -> None:
        """A page of any site may send every other type to this port unasked, and none too."""
        stated, media = self.header("content-type"), self.media_type
        if media != "application/json" and not media.endswith("+json"):
            found = "not stated to be JSON" if stated is None else f"stated to be `{media}`"
            raise RequestError(
                f"the body is {found}, expected `application/json`",
                code="unsupported_media_type",
                status=415,
                where="Content-Type",
                hint="send the header `Content-Type: application/json`",
            )

    async def _read_body(self) -> bytes:
        stated = self.header("content-length") or ""
        if stated.isascii() and stated.isdigit() and int(stated) > self._max_body_bytes:
            raise self._too_long()
        if self._wire is not None and (whole := self._wire.whole_body()) is not None:
            if len(whole) > self._max_body_bytes:  # in chunks its length is not stated
                raise self._too_long()
            return whole
        pieces: list[bytes] = []
        length = 0
        try:
            async with asyncio.timeout(BODY_SECONDS) as limit:
                end_at = limit.when() or 0.0
                while True:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    pieces.append(message.get("body", b""))
                    length += len(pieces[-1])
                    if length > self._max_body_bytes:
                        raise self._too_long()
                    if not message.get("more_body", False):
                        return b"".join(pieces)
                    limit.reschedule(end_at + length / SLOWEST_BYTES_PER_SECOND)
        except TimeoutError:
            raise RequestError(
                "the body came too slowly",
                code="request_timeout",
                status=408,
            ) from None

    def _too_long(self) -> RequestError:
        return RequestError(
            f"the body is longer than {self._max_body_bytes} bytes",
            code="body_too_large",
            status=413,
            hint="send less in one request, or the operator raises `server.max_body_bytes`",
        )

    def watching(self, call: Callable[[], None]) -> Watching:
        """A block that calls `call` when the client leaves before its end; the body was read."""
        return Watching(self, self._wire, call)

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status line and the headers."""
        wire = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (("x-request-id", self.request_id), *self._extra, *headers)
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": wire})
        self.status = status

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """Send a piece of the body; waits while the client does not read."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def write_now(self, body: bytes) -> bool:
        """Send a piece of the body without waiting; False where that is not possible now."""
        return self._wire is not None and self._wire.write_now(body)

    def abort(self) -> None:
        """Be done with a client that does not read: what is left for it is thrown away."""
        if self._wire is not None:
            self._wire.abort()

    async def answer(
        self,
        status: int,
        body: bytes,
        headers: Headers = (),
        content_type: str = "application/json",
    ) -> None:
        """Send a whole response."""
        length = (("content-type", content_type), ("content-length", str(len(body))))
        await self.start(status, (*length, *headers))
        await self.write(body, more=False)

    async def answer_json(self, shape: Any, *, status: int = 200, headers: Headers = ()) -> None:
        """Send a whole response in JSON."""
        await self.answer(status, orjson.dumps(shape), headers)


class Watching:
    """`with` block in which a client that leaves is noticed."""

    def __init__(self, exchange: Exchange, wire: Wire | None, call: Callable[[], None]) -> None:
        self._exchange = exchange
        self._wire = wire
        self._call = call
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        if self._wire is not None:
            self._wire.when_left(self._call)
        else:
            self._task = asyncio.ensure_future(self._watch())

    def __exit__(self, *_: object) -> None:
        if self._wire is not None:
            self._wire.when_left(None)
        elif self._task is not None:
            self._task.cancel()  # it only waits: it is over before anything else is received

    async def _watch(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        self._call()


def _parse(body: bytes) -> dict[str, Any]:
    try:
        shape = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _no_json(body, error) from error
    if not isinstance(shape, dict):
        raise RequestError(
            f"the body is a JSON {type(shape).__name__}, expected an object",
            code="invalid_json",
            hint='send `{"model": …}`',
        )
    return shape


def _no_json(body: bytes, error: orjson.JSONDecodeError) -> RequestError:
    try:
        body.decode()
    except UnicodeDecodeError as invalid:
        return RequestError(
            f"the body is not UTF-8: byte 0x{body[invalid.start]:02x} at offset {invalid.start}",
            code="invalid_json",
        )
    if not body:
        return RequestError("the body is empty, expected a JSON object", code="invalid_json")
    return RequestError(
        f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
        code="invalid_json",
        where=f"line {error.lineno}, column {error.colno}",
    )
