"""The stream contract, without IO: what a backend sends in, what the client may be sent out.

Every stream ends with a finish chunk for each choice or exactly one error event, then
`[DONE]`; a cut answer is never presented as complete. `stream.py` moves the bytes.
"""

from __future__ import annotations

from typing import Any

import orjson

from trueup.errors import BackendError, CapacityError, RequestError, TrueUpError
from trueup.gateway.sse import DONE, EventSplitter
from trueup.protocol.errors import error_body

PRIVATE_KEY = "trueup"
# Servers put these where a reason should stand; none of them is a complete answer.
FAILED_REASONS = frozenset({"error", "abort", "aborted", "cancelled"})


class StreamContract:
    """One streamed answer of `choices` choices from the backend called `source`.

    `chunks` counts what went to the client; `is_over` says that nothing of the backend is
    wanted any more.
    """

    def __init__(self, *, choices: int, source: str) -> None:
        self.chunks = 0
        self.is_over = False
        self.error: TrueUpError | None = None
        self._source = source
        self._open = set(range(choices))
        self._splitter = EventSplitter()

    @property
    def is_complete(self) -> bool:
        """Every choice has had its finish chunk."""
        return not self._open

    def take(self, piece: bytes) -> bytes:
        """The client's bytes for what the backend sent: whole events, perhaps none."""
        out = []
        try:
            for data in self._splitter.feed(piece):
                if data == b"[DONE]":
                    self.end()
                    break
                event = self._chunk(data)
                if event:
                    self.chunks += 1
                    out.append(event)
        except TrueUpError as error:
            self.fail(error)
        return b"".join(out)

    def end(self) -> None:
        """The backend says that it is done, or its body has ended."""
        self.is_over = True
        if self._open:
            self.fail(self._incomplete("ended without a finish reason"))

    def fail(self, error: TrueUpError) -> None:
        """Something broke; an answer that was complete by then stays complete."""
        self.is_over = True
        if self._open and self.error is None:
            self.error = error

    def last_bytes(self) -> bytes:
        """What closes the stream: the error event where there is an error, then `[DONE]`."""
        if not self.is_over:
            self.end()
        return error_event(self.error, self._source) + DONE if self.error else DONE

    def _chunk(self, data: bytes) -> bytes:
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise self._malformed(f"an event that is no JSON ({error})") from error
        if not isinstance(chunk, dict):
            raise self._malformed(f"an event that is a {type(chunk).__name__}, not an object")
        if stated := chunk.get("error"):
            raise stated_error(stated, status=502)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise self._malformed("a chunk without a list `choices`")
        if choices and not self._read(choices):
            return b""
        if chunk.pop(PRIVATE_KEY, None) is not None or b"\n" in data:
            data = orjson.dumps(chunk)
        return b"data: " + data + b"\n\n"

    def _read(self, choices: list[Any]) -> bool:
        """Keep account of the choices of a chunk; whether any of them was still open."""
        wanted = False
        for choice in choices:
            index = choice.get("index") if isinstance(choice, dict) else None
            if index in self._open:
                wanted = True
                if reason := choice.get("finish_reason"):
                    if reason in FAILED_REASONS:
                        raise self._incomplete(f"ended with finish reason `{reason}`")
                    self._open.discard(index)
        return wanted

    def _incomplete(self, how: str) -> BackendError:
        return BackendError(
            f"the answer {how} after {self.chunks} chunks",
            retryable=True,
            code="stream_incomplete",
            hint="what was sent so far is not the whole answer: ask again",
        )

    def _malformed(self, what: str) -> BackendError:
        return BackendError(f"the backend sent {what}", retryable=True, code="stream_malformed")


def error_event(error: TrueUpError, source: str) -> bytes:
    """One error as an event of a stream."""
    return b"data: " + orjson.dumps(error_body(error, source)) + b"\n\n"


def stated_error(
    stated: Any, *, status: int, retry_after_seconds: float | None = None
) -> TrueUpError:
    """The error that a backend stated in its own words, in OpenAI's shape or any other.

    `status` is the HTTP status that it had or is to have.
    """
    shape = stated if isinstance(stated, dict) else {"message": stated}
    words: dict[str, Any] = {
        name: value
        for name in ("where", "hint", "code", "param")
        if isinstance(value := shape.get(name), str)
    }
    cause = str(shape.get("message") or "the backend stated an error without a message")
    if hint := words.get("hint"):  # `error_body` adds it again
        cause = cause.removesuffix(f"; {hint}")
    param = words.pop("param", None)
    words.setdefault("code", "backend_error")
    if status in (429, 503):
        wait = 1.0 if retry_after_seconds is None else retry_after_seconds
        return CapacityError(cause, status=status, retry_after_seconds=wait, **words)
    if status < 500:
        return RequestError(cause, status=status, param=param, **words)
    return BackendError(cause, retryable=True, status=status, **words)
