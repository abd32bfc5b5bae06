"""`trueup ps`: what the running servers have loaded, with measured memory."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from trueup.cli.server_api import ask_server, server_urls
from trueup.errors import BackendError, ConfigError

EXAMPLE = """  trueup ps
  trueup ps --url http://127.0.0.1:8484 --format json"""
COLUMNS = ("MODEL", "STATE", "MEMORY", "ANSWERING", "QUEUED", "IDLE", "PID")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup ps` takes."""
    parser.add_argument("--url", help="ask this server (default: all that run here)")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Show every server; 1 where none runs."""
    urls = server_urls(arguments.url)
    if not urls:
        if arguments.format == "json":
            _print_json([])
        raise ConfigError(
            "no server of this user runs here", hint="start one: trueup serve, or name it: --url"
        )
    shown = []
    for url in urls:
        try:
            shown.append({"url": url, **ask_server(url, "/api/ps", wants="models")})
        except BackendError as error:
            if len(urls) == 1:
                raise
            hint = f"; {error.hint}" if error.hint else ""
            print(f"{url}: {error.cause}{hint}", file=sys.stderr)
    if arguments.format == "json":
        _print_json(shown)
    else:
        print("\n\n".join(_table(server) for server in shown))
    return 0 if shown else 1


def _print_json(servers: Sequence[Mapping[str, Any]]) -> None:
    print(json.dumps({"schema_version": 1, "servers": servers}, ensure_ascii=False))


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
