"""Chats with one backend alone: one of the configuration, or a model that LlamaFactory runs.

A running server that has it is asked; else one of our own serves it for as long as the chat.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trueup.backends.llamafactory.templates import known_name
from trueup.cli.client import ChatClient
from trueup.cli.private_server import private_server
from trueup.cli.server_api import KEY_VARIABLE, ask_server
from trueup.config.llamafactory_section import LlamaFactoryKeys
from trueup.config.llamafactory_settings import PRESET
from trueup.config.servers import running_servers
from trueup.errors import TrueUpError, UsageError

FLAG = "--llamafactory"
EXAMPLE = f"{FLAG} base=/models/Qwen2.5-7B-Instruct adapter=/models/mine template=qwen"
SHORT = {"base": "base_model_path", "adapter": "adapter_path", "system": "default_system"}
NAME = "llamafactory"


def entry_of_words(words: Sequence[str]) -> dict[str, Any]:
    """The keys that `--llamafactory KEY=VALUE …` means.

    Raises: UsageError.
    """
    entry: dict[str, Any] = {}
    for word in words:
        name, is_given, value = word.partition("=")
        if not is_given or not value:
            raise UsageError(f"`{word}` is no `KEY=VALUE`", where=FLAG, hint=EXAMPLE)
        entry[known_key(name, FLAG)] = value
    return entry


def known_key(name: str, where: str) -> str:
    """The configuration's key for a word; raises UsageError."""
    key = SHORT.get(name, name)
    known = [*LlamaFactoryKeys.model_fields, *SHORT]
    if key not in known:
        near = get_close_matches(name, known, n=1)
        raise UsageError(
            f"`{name}` is no key of a model that LlamaFactory runs",
            where=where,
            hint=f"did you mean `{near[0]}`?" if near else "keys: base, adapter, template, host, …",
        )
    return key


def llamafactory_entry(keys: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The backend's entry of such keys, `host: user@host:port` taken apart.

    Raises: UsageError where they name no model.
    """
    found = {name: value for name, value in keys.items() if value is not None}
    if "base_model_path" not in found and "script_path" not in found:
        raise UsageError("no `base_model_path` names a model", where=where, hint=EXAMPLE)
    user, is_named, host = str(found.get("host", "")).rpartition("@")
    if is_named:
        found |= {"user": user, "host": host}
    host, is_numbered, port = str(found.get("host", "")).rpartition(":")
    if is_numbered and port.isdecimal() and ":" not in host:
        found |= {"host": host, "port": port}
    # A number is a number in a configuration, and so is what is true or false.
    for name in ("port", "agent", "load_seconds", "lease_seconds", "idle_seconds"):
        with contextlib.suppress(ValueError, TypeError):
            if name in found:
                found[name] = json.loads(str(found[name]))
    return {"preset": PRESET, **found}


def configured_entry(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The entry of a backend in the configuration, its variables as they are written.

    Raises: UsageError, ConfigError.
    """
    from trueup.cli.backends_target import configured
    from trueup.cli.settings import CONFIG_VARIABLE
    from trueup.config.document import read_document

    configured(name, arguments, os.environ)
    tree = read_document(Path(arguments.config or os.environ[CONFIG_VARIABLE])).tree
    return next(dict(value) for key, value in tree["backends"].items() if str(key) == name)


@contextlib.asynccontextmanager
async def served_backend(
    name: str, entry: Mapping[str, Any]
) -> AsyncIterator[tuple[ChatClient, str]]:
    """A client of a server that has this backend, and its name there.

    Raises:
        ConfigError: the entry cannot be used.
        PrivateServerEnded, BackendError: see `private_server`.
    """
    key = os.environ.get(KEY_VARIABLE)
    for server in running_servers():
        if (found := _name_there(server.url, name, entry)) is not None:
            print(f"(asking `{found}` at {server.url})", file=sys.stderr)
            async with ChatClient(f"{server.url}/v1", api_key=key) as client:
                yield client, found
                return
    with tempfile.TemporaryDirectory(prefix="trueup-") as folder:
        path = Path(folder) / "trueup.yaml"
        tree = {"config_version": 1, "backends": {name: entry}}
        path.write_text(json.dumps(tree, default=str), encoding="utf-8")
        _check(path)
        async with (
            private_server(["--config", str(path)]) as own,
            ChatClient(own.url, api_key=own.api_key) as client,
        ):
            yield client, name


def _check(path: Path) -> None:
    from trueup.config.load import load_config

    try:
        load_config(path, os.environ)
    except TrueUpError as error:
        error.where = None  # a file that nobody wrote
        raise


def _name_there(url: str, name: str, entry: Mapping[str, Any]) -> str | None:
    """What a running server calls the backend; None where it has none that is the same."""
    try:
        rows = ask_server(url, "/api/backends", wants="backends")["backends"]
    except TrueUpError:  # it ends just now, or is another conversation's own
        return None
    if entry.get("preset") != PRESET or "base_model_path" not in entry:
        return name if any(row.get("name") == name for row in rows) else None
    for row in rows:
        runs = row.get("runs")
        # Who names no host has it wherever it is loaded.
        if runs is None or entry.get("host") not in (None, runs.get("host")):
            continue
        if _model_of(runs) == _model_of(entry):
            return str(row["name"])
    return None


def _model_of(runs: Mapping[str, Any]) -> tuple[str | None, ...]:
    """What two entries have alike that mean one model."""
    paths = (_real(runs.get(name)) for name in ("base_model_path", "adapter_path"))
    return *paths, known_name(runs.get("template"))


def _real(path: str | None) -> str | None:
    here = None if path is None else Path(path).expanduser()
    return str(here.resolve()) if here is not None and here.is_dir() else path
