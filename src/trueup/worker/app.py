"""The worker's HTTP: a raw ASGI application over the model thread.

GET /health, POST /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/forecasts. Runs in
the worker's event loop; the gateway is its only client, so there are no keys, no metrics and no
retries here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

from trueup.engines.base import Step
from trueup.errors import BackendError, CapacityError, RequestError, TrueUpError
from trueup.protocol.chat import parse_chat_request
from trueup.protocol.completion import parse_completion_request
from trueup.protocol.embedding import (
    EmbeddingRequest,
    embedding_response,
    parse_embedding_request,
)
from trueup.protocol.errors import error_body, status_of
from trueup.protocol.forecast import ForecastRequest, parse_forecast_request
from trueup.worker.answer import DONE, Answer, event
from trueup.worker.job import (
    Bar,
    Embedded,
    Failed,
    Finished,
    Forecasted,
    Item,
    Job,
    Prepared,
    Request,
)
from trueup.worker.memory import private_bytes
from trueup.worker.model_thread import ModelThread
from trueup.worker.pipe import Pipe

MAX_BODY_BYTES = 64 * 1024 * 1024
LOADING_RETRY_SECONDS = 1.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Parse = Callable[[Any], Request]

JSON = (b"content-type", b"application/json")
EVENT_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
)

PARSERS: dict[str, Parse] = {
    "/v1/chat/completions": parse_chat_request,
    "/v1/completions": parse_completion_request,
    "/v1/embeddings": parse_embedding_request,
    "/v1/forecasts": parse_forecast_request,
}
# What answers a path; text is answered by models of every other kind.
KINDS = {"/v1/embeddings": "embedding", "/v1/forecasts": "forecast"}


class ClientLeftError(Exception):
    """The client closed its connection."""


class App:
    """The ASGI application of one worker; `sandbox` is what confines its process."""

    def __init__(self, model: ModelThread, *, sandbox: tuple[str, ...] = ()) -> None:
        self._model = model
        self._sandbox = sandbox

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        try:
            if path == "/health" and method == "GET":
                await _send_json(send, 200, orjson.dumps(self._health()))
            elif path in PARSERS and method == "POST":
                self._check_kind(path)
                await self._complete(PARSERS[path], receive, send)
            else:
                raise RequestError(
                    f"a worker has no `{method} {path}`", code="not_found", status=404
                )
        except TrueUpError as error:
            await _send_error(send, error)
        except ClientLeftError:
            return

    def _health(self) -> dict[str, Any]:
        model = self._model
        return {
            "state": model.state,
            "progress": model.progress,
            # Before the model thread has measured, what there is so far.
            "memory_bytes": model.memory_bytes or private_bytes(),
            "device_bytes": model.device_bytes,
            "finding": model.finding,
            "queued": model.queued,
            "one_request_at_a_time": model.kind != "embedding",
            "prefilled_tokens": model.work.prefilled_tokens,
            "decoded_tokens": model.work.decoded_tokens,
            "sandbox": self._sandbox,
        }

    async def _complete(self, parse: Parse, receive: Receive, send: Send) -> None:
        request = parse(await _read_json(receive))
        self._check_ready()
        pipe: Pipe[Item] = Pipe(asyncio.get_running_loop())
        job = Job(request, pipe)
        self._model.submit(job)
        watch = asyncio.create_task(_close_when_left(receive, pipe))
        try:
            if isinstance(request, EmbeddingRequest):
                await _send_embeddings(job, send)
            elif isinstance(request, ForecastRequest):
                await _send_forecast(job, send)
            elif request.stream:
                await _stream(job, send)
            else:
                await _send_whole(job, send)
        finally:
            job.cancel()
            watch.cancel()

    def _check_kind(self, path: str) -> None:
        kind = self._model.kind
        if KINDS.get(path) != (kind if kind in KINDS.values() else None):
            raise RequestError(f"a model of kind `{kind}` does not answer `{path}`", param="model")

    def _check_ready(self) -> None:
        if self._model.state == "starting":
            raise CapacityError(
                f"the model is loading, {self._model.progress:.0%} so far",
                code="model_loading",
                retry_after_seconds=LOADING_RETRY_SECONDS,
            )
        if self._model.finding is not None:
            raise BackendError(
                self._model.finding["message"],
                retryable=False,
                code="model_load_failed",
                status=503,
                where=self._model.finding["where"],
            )


async def _stream(job: Job, send: Send) -> None:
    """Send events as steps come.

    The status waits for the first one: a failure before it is answered with its own.
    """
    answer = Answer(job.request)
    is_started, is_last = False, False
    while not is_last:
        out: list[bytes] = []
        for item in await _take(job):
            if isinstance(item, Step):
                out.append(answer.events(item))
            elif isinstance(item, Prepared):
                answer.prompt_tokens = item.prompt_tokens
            elif isinstance(item, Finished):
                out.append(answer.last_events())
                is_last = True
            elif isinstance(item, Failed) and (is_started or any(out)):
                out += (event(error_body(item.error)), DONE)
                is_last = True
            elif isinstance(item, Failed):
                raise item.error
        body = b"".join(out)
        if not body:
            continue
        if not is_started:
            is_started = True
            await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        await send({"type": "http.response.body", "body": body, "more_body": not is_last})


async def _send_whole(job: Job, send: Send) -> None:
    answer = Answer(job.request)
    while True:
        for item in await _take(job):
            if isinstance(item, Step):
                answer.add(item)
            elif isinstance(item, Prepared):
                answer.prompt_tokens = item.prompt_tokens
            elif isinstance(item, Failed):
                raise item.error
            elif isinstance(item, Finished):
                await _send_json(send, 200, answer.whole())
                return


async def _send_embeddings(job: Job, send: Send) -> None:
    request: EmbeddingRequest = job.request
    (item,) = await _take(job)
    if isinstance(item, Failed):
        raise item.error
    if not isinstance(item, Embedded):
        raise TypeError(f"a {type(item).__name__} for a request of embeddings")
    shape = embedding_response(
        model=request.model,
        vectors=item.vectors,
        is_base64=request.encoding_format == "base64",
        prompt_tokens=item.prompt_tokens,
        notes=item.notes,
    )
    await _send_json(send, 200, _with_numbers(shape))


async def _send_forecast(job: Job, send: Send) -> None:
    """Send a forecast: of a stream each bar as it comes, then the whole.

    The status waits for the first item: a failure before it is answered with its own.
    """
    is_started, is_last = False, False
    while not is_last:
        out: list[bytes] = []
        for item in await _take(job):
            if isinstance(item, Failed) and not (is_started or out):
                raise item.error
            is_last = not isinstance(item, Bar)
            if isinstance(item, Forecasted) and not job.request.stream:
                await _send_json(send, 200, _with_numbers(item.shape))
                return
            if isinstance(item, Bar | Forecasted):
                out.append(b"data: %b\n\n" % _with_numbers(item.shape))
            elif isinstance(item, Failed):
                out.append(event(error_body(item.error)))
        if is_last:
            out.append(DONE)
        if not is_started:
            is_started = True
            await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        body = b"".join(out)
        await send({"type": "http.response.body", "body": body, "more_body": not is_last})


def _with_numbers(shape: Mapping[str, Any]) -> bytes:
    return orjson.dumps(shape, option=orjson.OPT_SERIALIZE_NUMPY)


async def _take(job: Job) -> list[Item]:
    items = await job.pipe.take()
    if not items:
        raise ClientLeftError
    return items


async def _close_when_left(receive: Receive, pipe: Pipe[Item]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    pipe.close()


async def _read_json(receive: Receive) -> Any:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise RequestError(
                f"the body is larger than {MAX_BODY_BYTES} bytes",
                code="body_too_large",
                status=413,
            )
        if not message.get("more_body", False):
            break
    try:
        return orjson.loads(b"".join(parts))
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error}", code="invalid_json") from None


async def _send_error(send: Send, error: TrueUpError) -> None:
    headers = []
    if isinstance(error, CapacityError):
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_seconds))))
    await _send_json(send, status_of(error), orjson.dumps(error_body(error)), headers)


async def _send_json(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    length = (b"content-length", b"%d" % len(body))
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": [JSON, length, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
