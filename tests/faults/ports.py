"""Ports where nobody listens."""

from __future__ import annotations

import socket
from functools import cache


@cache
def closed_url() -> str:
    """A base URL that refuses every connection while this process lives.

    Its port stays taken and is not listened on: the system gives it to no other process.
    """
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    taken.detach()  # closed at the end of the process alone
    return url
