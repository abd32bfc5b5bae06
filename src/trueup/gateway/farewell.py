"""How an answer ends: usage and `[DONE]`, an error event, or a note in the answer's own words."""

from __future__ import annotations

import logging
import time

import orjson

from trueup.config.settings import ClientProfile
from trueup.errors import BackendError, TrueUpError
from trueup.gateway.asked import Asked
from trueup.gateway.delivery import Delivery
from trueup.gateway.finish import CUT
from trueup.gateway.sse import DONE
from trueup.gateway.whole import Whole, WholeChoice
from trueup.protocol.answer import chat_id, completion_id
from trueup.protocol.errors import error_body

log = logging.getLogger(__name__)


def last_bytes(
    delivery: Delivery, error: TrueUpError | None, source: str, profile: ClientProfile
) -> bytes:
    """What closes a stream: usage where it was asked for, one error event where there is one.

    A client that cannot bear an error event gets a note and a finish reason instead. What cannot
    be written is left out: without an end all of the answer would be lost.
    """
    try:
        return _last_bytes(delivery, error, source, profile)
    except Exception as failure:
        log.error("the end of a stream cannot be written", exc_info=failure)
        return DONE if error is None else error_event(bug(), "trueup") + DONE


def _last_bytes(
    delivery: Delivery, error: TrueUpError | None, source: str, profile: ClientProfile
) -> bytes:
    if error is None:
        return delivery.usage_event() + DONE
    if profile.error_events:
        return error_event(error, source) + DONE
    return noted_end(delivery, error, profile) + delivery.usage_event() + DONE


def error_event(error: TrueUpError, source: str) -> bytes:
    """One error as an event of a stream."""
    return b"data: %b\n\n" % orjson.dumps(error_body(error, source))


def noted_end(delivery: Delivery, error: TrueUpError, profile: ClientProfile) -> bytes:
    """The chunks that end every open choice with a note of what happened."""
    delivery.give_up()
    delivery.take_head({})
    out = []
    for index, choice in enumerate(delivery.choices):
        if choice.finish_reason:
            continue
        note = _note(error, profile)
        out.append(delivery.piece(index, {"content": f"\n\n{note}" if choice.text else note}))
        out.append(delivery.finish(index, CUT))
    return b"".join(out)


def noted_whole(asked: Asked, error: TrueUpError, profile: ClientProfile) -> bytes:
    """A whole answer that holds the note alone."""
    choice = WholeChoice(text=_note(error, profile), finish_reason=CUT)
    head = {
        "id": chat_id() if asked.is_chat else completion_id(),
        "created": int(time.time()),
        "model": asked.model,
    }
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    whole = Whole(head=head, choices=[choice] * asked.choices, usage=usage, is_estimated=True)
    return whole.as_body(is_chat=asked.is_chat)


def stopped() -> BackendError:
    """The error of an answer that the end of the server cut."""
    return BackendError(
        "the server is stopping and the answer was not done in time",
        retryable=True,
        code="server_stopping",
        status=503,
        hint="ask again when the server is back",
    )


def unended() -> BackendError:
    """The error of a stream that nobody brought to its end, though nothing failed."""
    return BackendError(
        "the answer came to no end that says that it is complete",
        retryable=True,
        code="stream_incomplete",
    )


def bug() -> BackendError:
    """The error of an answer that a mistake of ours ended."""
    return BackendError(
        "a bug in TrueUp; the server's log tells more",
        retryable=False,
        code="internal_error",
        status=500,
    )


def _note(error: TrueUpError, profile: ClientProfile) -> str:
    # Not `format`: the cause is foreign text, and so may the note's braces be.
    return profile.note.replace("{cause}", error.cause)
