"""A client of any OpenAI-compatible endpoint, as small as our own commands need.

Chats are always asked for as streams; transport faults become BackendError, errors that the
server states keep its own words.
"""

from __future__ import annotations

import base64
import io
import math
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from trueup.cli.server_api import KEY_VARIABLE
from trueup.doctor.render.command import command
from trueup.errors import BackendError, RequestError, TrueUpError
from trueup.gateway.sse import EventSplitter

CONNECT_SECONDS = 10.0
FP32_BYTES = 4
SILENCE_SECONDS = 600.0  # a first load of a large model sends heartbeats meanwhile


@dataclass(slots=True)
class Answer:
    """What the stream has said so far."""

    content: str = ""
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)


class ChatClient:
    """Talks to one server; `url` ends in `/v1`, an empty `api_key` sends none.

    `private` is the model of a server that ends with this client: errors name it, not the server.
    """

    def __init__(self, url: str, *, api_key: str | None = None, private: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._private = private
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
        )
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def models(self) -> list[dict[str, Any]]:
        """The rows of `/v1/models`."""
        shape = await self._get(f"{self.url}/models")
        rows = shape.get("data")
        if not isinstance(rows, list):
            raise self._malformed("the answer to /models has no list `data`")
        return rows

    async def embeddings(
        self, model: str, texts: Sequence[str], options: Mapping[str, Any]
    ) -> tuple[list[bytes], dict[str, Any]]:
        """The vectors of the texts (little-endian fp32, all of one length), and the whole answer.

        Raises:
            BackendError: there is no answer, or not one with a vector for each text.
            RequestError: the server refuses the request.
        """
        shape = await self._post(
            "/embeddings",
            {"model": model, "input": list(texts), "encoding_format": "base64", **options},
        )
        rows = shape.get("data")
        vectors: dict[Any, bytes] = {}
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and isinstance(row.get("index"), int):
                vectors[row["index"]] = _vector(row.get("embedding"))
        found = [vectors.get(index, b"") for index in range(len(texts))]
        if len(vectors) != len(texts) or not all(found):
            raise self._malformed(
                f"the answer has {sum(map(bool, vectors.values()))} embeddings that can be read, "
                f"expected {len(texts)}"
            )
        lengths = sorted({len(vector) // FP32_BYTES for vector in found})
        if len(lengths) > 1:
            raise self._malformed(
                f"the answer has embeddings of {lengths[0]} and of {lengths[-1]} dimensions"
            )
        return found, shape

    async def complete(
        self, model: str, prompt: str, options: Mapping[str, Any]
    ) -> tuple[str, str | None]:
        """The text that goes on from a prompt, and why it ends.

        Raises:
            BackendError: there is no answer, or not one with a text.
            RequestError: the server refuses the request.
        """
        shape = await self._post("/completions", {"model": model, "prompt": prompt, **options})
        choices = shape.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(first, dict) or not isinstance(first.get("text"), str):
            raise self._malformed("the answer to /completions has no choice with a `text`")
        return first["text"], first.get("finish_reason")

    async def forecast_bars(self, shape: Mapping[str, Any]) -> int:
        """How many bars the server forecasts for a whole request.

        Raises: as `complete`.
        """
        rows = (await self._post("/forecasts", shape)).get("forecasts")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._malformed("the answer to /forecasts has no list `forecasts`")
        return sum(len(row.get("timestamps") or ()) for row in rows)

    async def processes(self) -> list[dict[str, Any]]:
        """The rows of /api/ps, which servers of ours have."""
        url = f"{self.url.removesuffix('/v1')}/api/ps"
        shape = await self._get(url)
        rows = shape.get("models")
        if not isinstance(rows, list):
            raise self._malformed("the answer to /api/ps has no list `models`")
        return rows

    async def _post(self, path: str, shape: Mapping[str, Any]) -> dict[str, Any]:
        try:
            async with self._open_session.post(
                f"{self.url}{path}",
                # As a file: the library warns of large bodies in bytes.
                data=io.BytesIO(_json(shape)),
                headers={"Content-Type": "application/json"},
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error
        if response.status != 200:
            raise self._stated(response.status, body)
        return _json_object(body)

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            async with self._open_session.get(url) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error
        if response.status != 200:
            raise self._stated(response.status, body)
        return _json_object(body)

    async def stream(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        answer: Answer,
        options: Mapping[str, Any],
    ) -> AsyncIterator[str]:
        """Ask for an answer; yields its text as it comes and keeps `answer` up to date.

        Leaving the iterator closes the connection, which cancels the generation.
        """
        body = _json({"model": model, "messages": list(messages), "stream": True, **options})
        try:
            async with self._open_session.post(
                f"{self.url}/chat/completions",
                data=body,
                headers={"Content-Type": "application/json"},
            ) as response:
                if response.status != 200:
                    raise self._stated(response.status, await response.read())
                async for event in self._events(response):
                    if text := self._take(event, answer):
                        yield text
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error
        if answer.finish_reason is None:
            raise BackendError(
                f"the answer broke off after {len(answer.content)} characters",
                retryable=True,
                code="stream_incomplete",
                where=self.url,
                hint="ask again",
            )

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        splitter = EventSplitter()
        async for piece in response.content.iter_any():
            for event in splitter.feed(piece):
                if event == b"[DONE]":
                    return
                yield event

    def _take(self, event: bytes, answer: Answer) -> str:
        chunk = _json_object(event)
        if "error" in chunk:
            raise self._stated(200, event)
        if isinstance(usage := chunk.get("usage"), dict):
            answer.usage = usage
        for choice in chunk.get("choices") or ():
            answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
            text = (choice.get("delta") or {}).get("content")
            if isinstance(text, str):
                answer.content += text
                return text
        return ""

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("ChatClient is used outside `async with`")
        return self._session

    def _unreachable(self, error: Exception) -> BackendError:
        return BackendError(
            f"no answer from the server: {error or type(error).__name__}",
            retryable=True,
            where=self.url,
            hint="`trueup ps` shows the servers that run here",
        )

    def _malformed(self, cause: str) -> BackendError:
        return BackendError(cause, retryable=False, where=self.url)

    def _stated(self, status: int, body: bytes) -> TrueUpError:
        try:
            stated = orjson.loads(body).get("error")
        except (orjson.JSONDecodeError, AttributeError):
            stated = body[:200].decode(errors="replace")
        if not isinstance(stated, dict):
            stated = {"message": str(stated)}
        cause = str(stated.get("message") or f"HTTP status {status}")
        where, hint = stated.get("where") or self._private or self.url, stated.get("hint")
        if hint:  # for clients that show the message alone, TrueUp repeats the hint in it
            cause = cause.removesuffix(f"; {hint}")
        if self._private is not None and stated.get("code") == "chat_not_supported":
            hint = f"serve it, and {hint}: {command('serve', self._private, {})}"
        if status == 401:  # a user of the command line sends no headers
            hint = f"set {KEY_VARIABLE} to the server's key"
        error: RequestError | BackendError
        if 400 <= status < 500 and status != 429:
            error = RequestError(cause, status=status, where=where, hint=hint)
        else:
            error = BackendError(cause, retryable=True, where=where, hint=hint)
        if isinstance(code := stated.get("code"), str) and code:
            error.code = code
        return error


def _vector(value: object) -> bytes:
    """The bytes of an embedding in base64, or in numbers as some servers give it all the same.

    b"" is one that cannot be read.
    """
    try:
        if isinstance(value, list):
            content = struct.pack(f"<{len(value)}f", *value)
        else:
            content = base64.b64decode(value if isinstance(value, str) else "", validate=True)
    except (ValueError, OverflowError, struct.error):
        return b""
    numbers, rest = divmod(len(content), FP32_BYTES)
    if rest or not all(map(math.isfinite, struct.unpack(f"<{numbers}f", content))):
        return b""
    return content


def _json(shape: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(shape)
    except orjson.JSONEncodeError as error:  # bytes of a terminal that are no text
        raise RequestError(f"the request cannot be sent as JSON: {error}") from error


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        shape = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BackendError(f"the server sent what is no JSON: {error}", retryable=True) from error
    if not isinstance(shape, dict):
        raise BackendError("the server sent JSON that is no object", retryable=True)
    return shape
