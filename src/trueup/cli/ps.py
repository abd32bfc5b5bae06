"""`trueup ps`: what the running servers have loaded, with measured memory."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from trueup.config.servers import running_servers
from trueup.errors import BackendError, ConfigError

EXAMPLE = """  trueup ps
  trueup ps --url http://127.0.0.1:8484 --format json"""
ANSWER_SECONDS = 10.0
COLUMNS = ("MODEL", "STATE", "MEMORY", "ANSWERING", "QUEUED", "IDLE", "PID")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup ps` takes."""
    parser.add_argument("--url", help="ask this server (default: all that run here)")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Show every server; 1 where none runs."""
    urls = [arguments.url] if arguments.url else [each.url for each in running_servers()]
    if not urls:
        if arguments.format == "json":
            _print_json([])
        raise ConfigError(
            "no server of this user runs here", hint="start one: trueup serve, or name it: --url"
        )
    shown = []
    for url in urls:
        try:
            shown.append({"url": url, **ask(url, os.environ.get("TRUEUP_API_KEY"))})
        except BackendError as error:
            if len(urls) == 1:
                raise
            print(f"{url}: {error.cause}", file=sys.stderr)
    if arguments.format == "json":
        _print_json(shown)
    else:
        print("\n\n".join(_table(server) for server in shown))
    return 0 if shown else 1


def _print_json(servers: Sequence[Mapping[str, Any]]) -> None:
    print(json.dumps({"schema_version": 1, "servers": servers}, ensure_ascii=False))


def ask(url: str, api_key: str | None) -> dict[str, Any]:
    """What the server at `url` says that it has loaded.

    Raises:
        BackendError: it does not answer, or not as a server of ours does.
    """
    base = url.rstrip("/").removesuffix("/v1")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        request = urllib.request.Request(f"{base}/api/ps", headers=headers)
        # A proxy of the environment has no business between us and our own server.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=ANSWER_SECONDS) as response:
            shape = json.load(response)
        if not isinstance(shape, dict) or not isinstance(shape.get("models"), list):
            raise ValueError("no list `models`")
    except urllib.error.HTTPError as error:
        with error:
            raise _stated(error.code, base) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise BackendError(f"no answer: {reason}", retryable=True, where=base) from error
    except ValueError as error:
        raise BackendError(
            f"the answer is not that of a TrueUp server: {error}", retryable=False, where=base
        ) from error
    return shape


def _stated(status: int, url: str) -> BackendError:
    hint = "set TRUEUP_API_KEY to the server's key" if status == 401 else None
    return BackendError(f"HTTP status {status}", retryable=False, where=url, hint=hint)


def _table(server: Mapping[str, Any]) -> str:
    rows = [COLUMNS, *(_row(model) for model in server["models"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    errors = [
        f"{model['id']}: {model['last_error']}"
        for model in server["models"]
        if model.get("last_error")
    ]
    title = f"{server['url']}  pid {server.get('pid')}"
    return "\n".join((title, *lines, *errors))


def _row(model: Mapping[str, Any]) -> tuple[str, ...]:
    memory, idle = model.get("memory_bytes"), model.get("idle_seconds")
    return (
        str(model.get("id")),
        str(model.get("state")),
        "-" if memory is None else f"{memory / 2**20:.0f} MiB",
        str(model.get("leases", 0)),
        str(model.get("queued", 0)),
        "-" if idle is None else f"{idle:.0f} s",
        str(model.get("pid") or "-"),
    )
