"""Asks a running server of ours about itself, over its paths below /api."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from trueup.config.servers import running_servers
from trueup.errors import BackendError, TrueUpError

ANSWER_SECONDS = 10.0
KEY_VARIABLE = "TRUEUP_API_KEY"


def server_urls(url: str | None) -> Sequence[str]:
    """The server that was named, else all that run here."""
    return [url] if url else [each.url for each in running_servers()]


def ask_server(url: str, path: str, *, wants: str, method: str = "GET") -> dict[str, Any]:
    """The JSON object that a server answers with, which has the key `wants`.

    Raises:
        BackendError: it does not answer, or not as a server of ours does.
    """
    base = url.rstrip("/").removesuffix("/v1")
    key = os.environ.get(KEY_VARIABLE)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        request = urllib.request.Request(f"{base}{path}", headers=headers, method=method)
        # A proxy of the environment has no business between us and our own server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=ANSWER_SECONDS) as response:
            shape = json.load(response)
        if not isinstance(shape, dict) or wants not in shape:
            raise ValueError(f"no `{wants}`")
    except urllib.error.HTTPError as error:
        with error:
            raise _stated(error, base) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise BackendError(f"no answer: {reason}", retryable=True, where=base) from error
    except ValueError as error:
        raise BackendError(
            f"the answer is not that of a TrueUp server: {error}", retryable=False, where=base
        ) from error
    return shape


def _stated(error: urllib.error.HTTPError, url: str) -> TrueUpError:
    """The server's own words where they are in its shape."""
    cause, hint = f"HTTP status {error.code}", None
    try:
        stated = json.loads(error.read(2**16)).get("error")
        hint = stated.get("hint")
        cause = str(stated.get("message") or cause).removesuffix(f"; {hint}")
    except (ValueError, AttributeError, OSError):
        pass
    if error.code == 401:
        hint = f"set {KEY_VARIABLE} to the server's key"
    return BackendError(cause, retryable=False, status=error.code, where=url, hint=hint)
