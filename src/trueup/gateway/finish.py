"""Finish reasons of other servers: which of them says that an answer is complete."""

from __future__ import annotations

import re
from typing import Any

from trueup.errors import BackendError

# The one reason of OpenAI's that says of an answer that it is not all of it.
CUT = "length"
# What servers write where they mean null.
NOTHING = frozenset({"", "null", "none"})
FAILED = re.compile(
    r"error|abort|cancel|fail|interrupt|overload|time_?out|exception|insufficient|unknown|killed"
)


def finish_reason(value: Any) -> str | None:
    """The reason that a choice ended for; None where it has not ended.

    Raises:
        BackendError: the reason says that the answer was broken off, or is none.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise BackendError(
            f"the backend sent a finish reason that is a {type(value).__name__}, not a text",
            retryable=True,
            code="stream_malformed",
        )
    word = value.strip().lower()
    if word in NOTHING:
        return None
    if FAILED.search(word):
        raise BackendError(
            f"the backend ended its answer with finish reason `{value}`",
            retryable=True,
            code="answer_incomplete",
        )
    return value
