"""What an exception of somebody else's code says, in one line."""

from __future__ import annotations


def error_line(error: BaseException) -> str:
    """Its first line, and those that follow a line that only announces them by a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    end = next((at for at, line in enumerate(lines) if not line.endswith(":")), len(lines) - 1)
    return " ".join(lines[: end + 1]) or "no message"
