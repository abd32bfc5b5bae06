"""The command's standard streams: what a terminal cannot show or a disk cannot take is no bug."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from trueup.errors import UsageError

OUTPUT_ERRNOS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def prepare_output() -> None:
    """Have characters that the terminal cannot encode written as escapes, not as a crash."""
    if sys.stderr is None:  # closed by the caller; `print(file=None)` would write to stdout
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def output_fault(met: OSError | None = None) -> OSError | None:
    """Write out what stdout still holds; the error of the system where that does not work.

    `met` is an error that ended the command: returned too when it is one of writing to a stream.
    """
    if fault := flush_fault(sys.stdout):
        return fault
    # An unbuffered stdout keeps nothing that could fail again.
    if met is not None and met.filename is None and met.errno in OUTPUT_ERRNOS:
        return met
    return None


def flush_fault(stream: TextIO) -> OSError | None:
    """Write out what `stream` still holds; the error of the system where that does not work.

    After an error the stream is the null device: the interpreter's own flush at exit is quiet then
    and leaves the exit status alone.
    """
    try:
        stream.flush()
    except OSError as error:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        return error
    return None


def utf8_of(text: str) -> str | None:
    """What the bytes of a word or a pipe are as UTF-8, whatever the locale; None if they are not.

    `text` holds bytes that could not be decoded as surrogates.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return None


def utf8_text(text: str, where: str) -> str:
    """The same of a message; raises UsageError where it is not UTF-8."""
    read = utf8_of(text)
    if read is None:
        raise UsageError("the message is not UTF-8", where=where)
    return read


def piped_text() -> str:
    """All of stdin, as UTF-8 whatever the locale; raises UsageError where it is not."""
    if sys.stdin is None:  # closed by the caller
        return ""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    return utf8_text(sys.stdin.read(), "stdin")


def json_line(shape: Mapping[str, Any]) -> str:
    """One object for stdout: what it cannot encode is escaped as JSON has it, not as Python."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(shape, ensure_ascii=not is_utf8)
