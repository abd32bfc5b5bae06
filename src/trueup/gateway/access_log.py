"""One line for each request, named fix and model that failed; no prompts unless asked for.

What a client sends is escaped: it can neither break a line nor forge one.
"""

from __future__ import annotations

import contextlib
import functools
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

from trueup.events import (
    Event,
    FallbackTaken,
    FixApplied,
    ModelStateChanged,
    ParameterDropped,
    RequestFinished,
    RequestRefused,
)
from trueup.gateway.exchange import Exchange
from trueup.gateway.json_text import written

# Asked every few seconds by whoever watches the server.
UNLOGGED_PATHS = frozenset({"/health", "/ready", "/metrics", "/api/ps", "/api/streams"})
MAX_TEXT = 512
MAX_PROMPT_BYTES = 16 * 2**10
PROMPT_KEYS = ("messages", "prompt", "input")
# Of the task that answers: clients choose the ids of requests, and two may have the same.
_answered: ContextVar[Exchange | None] = ContextVar("trueup_answered", default=None)


class AccessLog:
    """Writes to `out`; subscribed to the events, it also tells what the backends did."""

    def __init__(
        self, out: TextIO, *, form: Literal["text", "json"] = "text", log_prompts: bool = False
    ) -> None:
        self._out = out
        self._form = form
        self._log_prompts = log_prompts

    def begin(self, exchange: Exchange) -> None:
        """A request arrived; this task and those that it starts answer it."""
        _answered.set(exchange)

    def note(self, event: Event) -> None:
        """Keep what an event says of the request that is answered here."""
        if isinstance(event, RequestFinished):
            if (exchange := _answered_by(event)) is not None:
                exchange.finished = event
        elif isinstance(event, RequestRefused):
            if not event.request_id:
                self._note_no_request(event)
        elif isinstance(event, FixApplied):
            what = {"fix": event.fix, "model": _short(event.model_id)}
            self._note_model(what, f"fix {event.fix} applied model={_word(event.model_id)}")
        elif isinstance(event, ModelStateChanged):
            if event.after == "failed":
                reason = _short(" ".join((event.reason or "").split()))
                what = {"failed": reason, "model": _short(event.model_id)}
                self._note_model(what, f"failed model={_word(event.model_id)}: {reason}")
        elif isinstance(event, FallbackTaken):
            if (exchange := _answered_by(event)) is not None:
                exchange.dropped.clear()  # the line is about who answered
        elif (
            isinstance(event, ParameterDropped)
            and (exchange := _answered_by(event)) is not None
            and event.parameter not in exchange.dropped
        ):
            exchange.dropped.append(event.parameter)

    def end(self, exchange: Exchange, seconds: float) -> None:
        """A request is over: write its line."""
        _answered.set(None)
        if exchange.path not in UNLOGGED_PATHS:
            self._tell(exchange, seconds)

    def _tell(self, exchange: Exchange, seconds: float) -> None:
        is_json = self._form == "json"
        self._write(self._json(exchange, seconds) if is_json else self._text(exchange, seconds))

    def _note_no_request(self, event: RequestRefused) -> None:
        """A line for what came to no exchange: it was no HTTP, or too much of it."""
        exchange = Exchange({"method": "-", "path": "-", "headers": []}, _nobody, _nobody)
        exchange.request_id, exchange.status = "-", event.status
        exchange.outcome, exchange.error_code = "failed", event.code
        self._tell(exchange, 0.0)

    def _note_model(self, what: dict[str, Any], words: str) -> None:
        """A line of no request: a model runs with a repair, or its worker is gone."""
        if self._form == "json":
            self._write(_shown(written({"time": _now(), **what}).decode()))
        else:
            self._write(_one_line(f"{time.strftime('%H:%M:%S')} {words}"))

    def _write(self, line: str) -> None:
        # Where nobody reads it any more there is no reason to stop serving.
        with contextlib.suppress(OSError, ValueError):
            self._out.write(line + "\n")

    def _json(self, exchange: Exchange, seconds: float) -> str:
        shape = as_dict(exchange, seconds)
        if self._log_prompts and exchange.body is not None:
            shape["prompt"], shape["is_prompt_cut"] = prompt_of(exchange.body)
        return _shown(written(shape).decode())

    def _text(self, exchange: Exchange, seconds: float) -> str:
        line = text(exchange, seconds)
        if self._log_prompts and exchange.body is not None:
            prompt, is_cut = prompt_of(exchange.body)
            told = prompt if is_cut else written(prompt).decode()
            line += f" prompt={told}"
        return _one_line(line)


def as_dict(exchange: Exchange, seconds: float) -> dict[str, Any]:
    """What is told of a request; None is not known, or not so for this request."""
    finished = exchange.finished
    first = finished.first_token_seconds if finished else None
    return {
        "time": _now(),
        "request_id": exchange.request_id,
        "key": _short(exchange.key_name),
        "method": _short(exchange.method),
        "path": _short(exchange.path),
        "status": exchange.status,
        "outcome": exchange.outcome,
        "code": _short(exchange.error_code),
        "model": _short(exchange.model),
        "backend": _short(finished.backend) if finished else None,
        "tries": finished.tries if finished else 0,
        "continuations": finished.continuations if finished else 0,
        "dropped": [_short(each) for each in exchange.dropped],
        "chunks": exchange.chunks,
        "prompt_tokens": finished.prompt_tokens if finished else None,
        "completion_tokens": finished.completion_tokens if finished else None,
        "ms": round(seconds * 1000, 1),
        "first_token_ms": None if first is None else round(first * 1000, 1),
        "profile": exchange.profile.name,
    }


def _answered_by(
    event: RequestFinished | FallbackTaken | ParameterDropped,
) -> Exchange | None:
    exchange = _answered.get()
    is_its = exchange is not None and exchange.request_id == event.request_id
    return exchange if is_its else None


async def _nobody(*_: Any) -> Any:
    """There is nothing to receive and nowhere to send."""


def _now() -> str:
    seconds, rest = divmod(time.time_ns(), 10**9)
    return f"{_second(seconds)}.{rest // 10**6:03d}Z"


@functools.lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def text(exchange: Exchange, seconds: float) -> str:
    """The line for people: what is as always is left out."""
    finished = exchange.finished
    notes: dict[str, Any] = {
        "code": exchange.error_code,
        "model": exchange.model,
        "chunks": exchange.chunks,
    }
    if finished is not None:
        notes["backend"] = finished.backend if finished.backend != exchange.model else None
        notes["tries"] = finished.tries if finished.tries > 1 else None
        notes["continuations"] = finished.continuations
    notes["dropped"] = ",".join(exchange.dropped)
    notes["key"] = exchange.key_name
    return (
        f"{time.strftime('%H:%M:%S')} {exchange.method} {_word(exchange.path)} "
        f"{exchange.status or '-'} {exchange.outcome} {seconds * 1000:.0f} ms "
        f"{exchange.request_id}"
        + "".join(f" {name}={_word(value)}" for name, value in notes.items() if value)
    )


def prompt_of(body: bytes) -> tuple[Any, bool]:
    """What was asked, and whether it was cut to fit; nothing else of the body."""
    try:
        shape = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, False
    if not isinstance(shape, dict):
        return None, False
    asked = {key: shape[key] for key in PROMPT_KEYS if key in shape}
    told = written(asked)
    if len(told) <= MAX_PROMPT_BYTES:
        return asked, False
    return told[:MAX_PROMPT_BYTES].decode("utf-8", "ignore"), True


def _short(text: str | None) -> str | None:
    """A lone surrogate, which a path may hold, has no place in UTF-8."""
    if text is None:
        return None
    short = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
    return short if short.isascii() else short.encode("utf-8", "replace").decode()


def _word(value: object) -> str:
    """A value that cannot be taken for the next one."""
    return "_".join(str(value)[:MAX_TEXT].split())


def _shown(line: str) -> str:
    """A line of JSON: U+2028 ends one for some readers, U+009B commands some terminals."""
    return line if line.isprintable() else "".join(map(_escaped, line))


def _one_line(line: str) -> str:
    """A line of text: a path may hold line breaks, and a model's name what its owner liked."""
    return line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line)


def _escaped(character: str) -> str:
    """A character of a line of JSON as one that shows."""
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
