"""Chats with one backend alone: one of the configuration, or a model that LlamaFactory runs.

A running server that has it is asked; else one of our own serves it for as long as the chat.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from trueup.backends.llamafactory.templates import known_name
from trueup.cli.client import Answer, ChatClient
from trueup.cli.private_server import private_server
from trueup.cli.server_api import KEY_VARIABLE, ask_server
from trueup.config.llamafactory_section import LlamaFactoryKeys
from trueup.config.llamafactory_settings import PRESET
from trueup.config.names import nearest
from trueup.config.servers import running_servers
from trueup.config.ssh_address import split_address
from trueup.errors import BackendError, UsageError

FLAG = "--llamafactory"
EXAMPLE = f"{FLAG} base=/models/Qwen2.5-7B-Instruct adapter=/models/mine template=qwen"
SHORT = {"base": "base_model_path", "adapter": "adapter_path", "system": "default_system"}
# What is said of every backend, and of these too.
OF_ALL = ("url", "model", "context_tokens", "limits")
KNOWN = (*LlamaFactoryKeys.model_fields, *OF_ALL)
# One of these says what is to answer.
ANSWERING = ("base_model_path", "script_path", "url")
# What is no text in a configuration.
NO_TEXTS = ("port", "agent", "load_seconds", "lease_seconds", "idle_seconds", "context_tokens",
            "limits")  # fmt: skip
NAME = "llamafactory"
SSH_PORT = 22


def entry_of_words(words: Sequence[str]) -> dict[str, Any]:
    """The keys that `--llamafactory KEY=VALUE …` means.

    Raises: UsageError.
    """
    entry: dict[str, Any] = {}
    for word in words:
        name, is_given, value = word.partition("=")
        if not is_given or not value.strip():
            raise UsageError(f"`{word}` is no `KEY=VALUE`", where=FLAG, hint=EXAMPLE)
        key = known_key(name, FLAG)
        if key in entry:
            raise UsageError(f"`{key}` is said twice", where=FLAG, hint="leave one of them out")
        entry[key] = value
    return entry


def known_key(name: str, where: str, others: Sequence[str] = ()) -> str:
    """The configuration's key for a word; raises UsageError, which knows `others` as well."""
    key = SHORT.get(name, name)
    if key not in KNOWN:
        raise UsageError(
            f"`{name}` is no key of a model that LlamaFactory runs",
            where=where,
            hint=nearest(name, [*KNOWN, *SHORT, *others])
            or "keys: base, adapter, template, host, conda_env, …",
        )
    return key


def llamafactory_entry(
    keys: Mapping[str, Any], where: str, example: str = EXAMPLE
) -> dict[str, Any]:
    """The backend's entry of such keys, `host: user@host:port` taken apart.

    Raises: UsageError where they name no model; ConfigError.
    """
    found = {name: value for name, value in keys.items() if value is not None}
    if not any(name in found for name in ANSWERING):
        raise UsageError("no `base_model_path` names a model", where=where, hint=example)
    if isinstance(host := found.get("host"), str):
        user, host, port = split_address(host, where)
        named = {"user": user, "host": host, "port": port}
        found |= {name: value for name, value in named.items() if value is not None}
    for name in NO_TEXTS:
        with contextlib.suppress(ValueError, TypeError):
            if name in found:
                found[name] = json.loads(str(found[name]))
    return {"preset": PRESET, **found}


@contextlib.asynccontextmanager
async def served_backend(
    name: str, entry: Mapping[str, Any], *, where: str | None = None
) -> AsyncIterator[tuple[ChatClient, str]]:
    """A client of a server that has this backend, and its name there.

    An entry of a configuration is known by its name too; one of words has `where` it was said.

    Raises:
        ConfigError: the entry cannot be used.
        PrivateServerEnded, BackendError: see `private_server`.
    """
    text = json.dumps({"config_version": 1, "backends": {name: entry}}, default=str)
    _check(text, where)
    key = os.environ.get(KEY_VARIABLE)
    for server in running_servers():
        if server.is_private:
            continue
        if (found := _name_there(server.url, name, entry, is_named=where is None)) is not None:
            print(f"(asking `{found}` at {server.url})", file=sys.stderr)
            async with _HintingClient(f"{server.url}/v1", api_key=key) as client:
                yield client, found
                return
    with tempfile.TemporaryDirectory(prefix="trueup-") as folder:
        path = Path(folder) / "trueup.yaml"
        path.write_text(text, encoding="utf-8")
        async with (
            private_server(["--config", str(path)], tells_all=True) as own,
            ChatClient(own.url, api_key=own.api_key) as client,
        ):
            yield client, name


class _HintingClient(ChatClient):
    """Tells the hints that a running server has beside answers; one of our own says them itself."""

    def _take(self, event: bytes, answer: Answer) -> str:
        text = super()._take(event, answer)
        own = json.loads(event).get("trueup") if b'"hint"' in event else None
        if isinstance(own, dict) and own.get("hint"):
            print(f"\nhint: {own['hint']}", file=sys.stderr)
        return text


def _check(text: str, where: str | None) -> None:
    """Have the first mistake told where it was made, and not in a file that nobody wrote."""
    from trueup.config.document import parsed_document
    from trueup.config.load import check_document

    document = parsed_document(Path("trueup.yaml"), text.encode())
    if errors := check_document(document, os.environ).errors:
        error = errors[0].as_error()
        error.where = where
        raise error


def _name_there(url: str, name: str, entry: Mapping[str, Any], *, is_named: bool) -> str | None:
    """What a running server calls the backend; None where it has none that is the same."""
    try:
        rows = ask_server(url, "/api/backends", wants="backends")["backends"]
    except BackendError as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            told = f"the server at {url} wants a key and is not asked: set {KEY_VARIABLE}"
            print(f"({told})", file=sys.stderr)
        return None  # or it ends just now
    is_kept = entry.get("preset") == PRESET and "base_model_path" in entry
    if not is_kept or "script_path" in entry:
        return name if is_named and any(row.get("name") == name for row in rows) else None
    for row in rows:
        if (runs := row.get("runs")) is not None and _is_same(runs, entry):
            return str(row["name"])
    return None


def _is_same(runs: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether what a server runs is the model of an entry.

    Who names no host has it wherever it is loaded.
    """
    if entry.get("host") is not None:
        port = entry.get("port") or SSH_PORT
        if (entry["host"], port) != (runs.get("host"), runs.get("port") or SSH_PORT):
            return False
    return _model_of(runs) == _model_of(entry)


def _model_of(runs: Mapping[str, Any]) -> tuple[str | None, ...]:
    """What two entries have alike that mean one model."""
    work_dir = Path(runs.get("work_dir") or ".").expanduser()
    paths = (_real(runs.get(name), work_dir) for name in ("base_model_path", "adapter_path"))
    return *paths, known_name(runs.get("template"))


def _real(path: str | None, work_dir: Path) -> str | None:
    here = None if path is None else work_dir / Path(path).expanduser()
    return str(here.resolve()) if here is not None and here.is_dir() else path
