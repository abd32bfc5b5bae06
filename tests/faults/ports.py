"""Ports where nobody listens."""

from __future__ import annotations

import socket


def closed_url() -> str:
    """A base URL that refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
