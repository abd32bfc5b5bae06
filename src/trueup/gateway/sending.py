"""How a try is asked: as a stream or whole, with which bytes; and what its answer has to pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from trueup.backends.base import BackendRequest
from trueup.gateway.asked import Asked, with_seed
from trueup.gateway.emulation import UnfinishedAnswerError, Verify
from trueup.gateway.finish import CUT
from trueup.gateway.json_text import written
from trueup.gateway.learning import WHOLE
from trueup.gateway.parameters import Adapted
from trueup.gateway.stop import StopCut
from trueup.gateway.tries import Try
from trueup.gateway.whole import Whole, WholeChoice

# `assembled`: asked as a stream for a client that wants it whole.
Mode = Literal["stream", "assembled", "whole"]
STREAM_TRIES = 2
# A whole answer of who was silent in a stream may take so many times as long to begin.
UNSEEN_FACTOR = 10
LARGEST_SEED = 2**63 - 1


def mode_of(attempt: Try, asked: Asked) -> Mode:
    """How to ask in this try.

    1. Streams are asked for as streams, twice; a server may answer whole where its streams break.
    2. So are answers that have to be checked before they are sent, and several answers in one:
       those are asked for whole.
    3. Whole answers are asked for whole, and as a stream where that stayed silent or failed: a
       stream shows that it moves. With servers that only stop when a stream is left, the other
       way round.
    4. Our own workers break in one way only: their process ends. They are asked the same again.
    """
    capabilities, adapted = attempt.backend.capabilities, attempt.adapted
    is_held = adapted.verify is not None or adapted.requests > 1
    streams = capabilities.streams and "stream" not in attempt.unsupported
    if WHOLE in attempt.unsupported and streams:
        return "assembled" if is_held or not asked.is_stream else "stream"
    if asked.is_stream and not is_held and streams:
        is_tried = attempt.number > STREAM_TRIES and not capabilities.queues
        return "whole" if is_tried else "stream"  # 1, 4
    if capabilities.queues or not streams:
        return "whole"  # 4
    first, second = (
        ("assembled", "whole") if capabilities.whole_by_stream else ("whole", "assembled")
    )
    return second if attempt.number > STREAM_TRIES or attempt.was_silent else first  # type: ignore[return-value]


def patience_of(attempt: Try, asked: Asked) -> tuple[float | None, bool]:
    """How long a whole answer may take to begin, and whether it is asked for as a stream then.

    With another way to ask, silence is not waited for until the very end; but not where the answer
    that is thrown away was paid for. Of who was silent in a stream nobody sees whether it moves in
    a whole answer: some patience is due, but not all there is.
    """
    capabilities = attempt.backend.capabilities
    first_seconds = capabilities.limits.first_token_seconds
    if asked.is_stream and attempt.was_silent:
        return UNSEEN_FACTOR * first_seconds, False
    has_other_way = capabilities.streams and capabilities.asks_again and not capabilities.queues
    is_first = attempt.number == 1 and has_other_way
    return (first_seconds if is_first else None), is_first


def request_of(
    attempt: Try,
    asked: Asked,
    mode: Mode,
    *,
    request_id: str,
    client: str,
    shape: Mapping[str, Any] | None = None,
    number: int = 0,
) -> BackendRequest:
    """The request on the wire; `shape` goes instead of the adapted one.

    `number` tells several requests for one answer apart: they need seeds of their own.
    """
    return BackendRequest(
        request_id=request_id,
        path=asked.path,
        body=_body(attempt, asked, mode, shape, number),
        is_stream=mode != "whole",
        client=client,
    )


def _body(
    attempt: Try, asked: Asked, mode: Mode, given: Mapping[str, Any] | None, number: int
) -> bytes:
    capabilities, adapted = attempt.backend.capabilities, attempt.adapted
    is_stream = mode != "whole"
    # An answer that was refused by a check would be the same again.
    extra = number + (attempt.number - 1 if adapted.verify is not None else 0)
    is_wanted = asked.has_seed or capabilities.takes_seed
    is_seeded = asked.is_drawn and is_wanted and "seed" not in attempt.unsupported
    needs_seed = is_seeded and (extra > 0 or not asked.has_seed)
    seed = asked.seed + extra
    if seed > LARGEST_SEED:  # of most servers; none is larger than the client's own
        seed = asked.seed - extra
    shape = given if given is not None else adapted.shape
    if shape is None and is_stream == asked.is_stream:
        return with_seed(asked.body, asked.shape, seed) if needs_seed else asked.body
    whole_shape = dict(asked.shape if shape is None else shape)
    if needs_seed:
        whole_shape["seed"] = seed
    if is_stream != asked.is_stream:
        whole_shape["stream"] = is_stream
        whole_shape.pop("stream_options", None)
        if is_stream and "stream_options" not in attempt.unsupported:
            whole_shape["stream_options"] = {"include_usage": True}
    return written(whole_shape)


def checked(whole: Whole, adapted: Adapted) -> Whole:
    """The answer as the client may have it: cut at its stop strings, and checked.

    Raises:
        BackendError: it is not what was asked for.
    """
    if adapted.stop:
        choices = [_cut(choice, adapted.stop) for choice in whole.choices]
        if choices != list(whole.choices):
            whole = replace(whole, choices=choices, body=None)
    if adapted.verify is not None:
        contents = [_verified(choice, adapted.verify) for choice in whole.choices]
        if any(content is not None for content in contents):
            choices = [
                choice if content is None else replace(choice, text=content, logprobs=None)
                for choice, content in zip(whole.choices, contents, strict=True)
            ]
            whole = replace(whole, choices=choices, body=None)
    return whole


def _verified(choice: WholeChoice, verify: Verify) -> str | None:
    try:
        return verify(choice.message())
    except UnfinishedAnswerError:
        if choice.finish_reason == CUT:  # at its token limit: it says so, and would be cut again
            return None
        raise


def _cut(choice: WholeChoice, stop: tuple[str, ...]) -> WholeChoice:
    cut = StopCut(stop)
    text = cut.push(choice.text)
    if not cut.is_stopped:
        return choice
    return replace(choice, text=text, finish_reason="stop", logprobs=None)
