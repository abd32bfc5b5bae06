"""What can go wrong between us and a server, in words for people."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

ERRNO = re.compile(r"\[Errno (\d+)\]")
NO_FILES = (errno.EMFILE, errno.ENFILE)


class HttpFault(Exception):
    """A connection failed; the text says how, without a subject's name.

    `is_connecting`: there was no connection yet. `is_silent`: not a byte of the answer came.
    `is_ours`: this process has no room for another connection, the server has no part in it.
    """

    def __init__(
        self,
        words: str,
        *,
        is_connecting: bool = False,
        is_silent: bool = False,
        is_ours: bool = False,
    ) -> None:
        super().__init__(words)
        self.is_connecting = is_connecting
        self.is_silent = is_silent
        self.is_ours = is_ours


def lost_words(error: Exception | None) -> str:
    """How a connection ended."""
    if isinstance(error, OSError) and error.errno in (
        errno.ECONNRESET,
        errno.EPIPE,
        errno.ECONNABORTED,
    ):
        return "its connection was reset"
    return "its connection closed"


def connecting_fault(error: Exception) -> HttpFault:
    """Why there is no connection."""
    number = _number(error)
    return HttpFault(
        _connecting_words(error, number), is_connecting=True, is_ours=number in NO_FILES
    )


def _connecting_words(error: Exception, number: int) -> str:
    match error:
        case socket.gaierror() | UnicodeError():
            return "its host is not known"
        case ssl.SSLCertVerificationError():
            return f"its certificate: {error.verify_message or error.reason}"
        case ssl.SSLError():
            return "no TLS connection could be made"
        case TimeoutError() if number == 0:
            return "it took too long to connect"
    if number in NO_FILES:
        return "this process may open no more files"
    return os.strerror(number).lower() if number > 0 else "no connection could be made"


def _number(error: Exception) -> int:
    """The system's number of an error; where several addresses were tried, that of all."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    numbers = set(ERRNO.findall(str(error)))
    return int(numbers.pop()) if len(numbers) == 1 else 0
