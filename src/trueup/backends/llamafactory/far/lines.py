"""JSON objects, one a line: what both ends of the far worker, and its model process, speak."""

from __future__ import annotations

import json
from typing import Any

# The longest line: a request with a long conversation, or the end of a long answer.
MAX_LINE_BYTES = 16 * 2**20

Message = dict[str, Any]


def line_of(message: Message) -> bytes:
    """A message as a line; what is no text of Unicode (half a pair) goes as an escape."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def message_of(line: bytes) -> Message | None:
    """The message of a line; None for a line that is none, such as a banner of a shell."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
