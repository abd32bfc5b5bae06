"""`trueup config export`: the block of settings that makes another program ask our server."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueup.cli.client_blocks import BLOCKS, NEED_CHAT, Offer
from trueup.cli.server_api import ask_server, server_urls
from trueup.cli.words import url
from trueup.config.settings import ModelSettings, ServerSettings
from trueup.config.url import url_trouble
from trueup.errors import ConfigError, TrueUpError, UsageError

# Roles first: they are what clients should ask for.
ORDER = ("role", "model", "alias")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup config export` takes."""
    parser.add_argument("client", choices=tuple(BLOCKS), metavar="CLIENT", help=", ".join(BLOCKS))
    parser.add_argument(
        "--url",
        type=url,
        help="the server as CLIENT reaches it (default: the running one, or where FILE listens)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="take the names from a configuration instead of asking the server",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the block to stdout."""
    base = _base(arguments.url) if arguments.url else None
    if arguments.config is not None:
        offer = _offer_of_file(arguments.config, base)
    else:
        offer = _offer_of_server(base)
    if not offer.chat and not offer.embedding:
        raise ConfigError("nothing is served that answers in chat or embeds", where=offer.url)
    if not offer.chat and arguments.client in NEED_CHAT:
        raise ConfigError(
            f"nothing is served that answers in chat, as `{arguments.client}` needs it",
            where=offer.url,
        )
    print(BLOCKS[arguments.client](offer), end="")
    return 0


def _base(word: str) -> str:
    if trouble := url_trouble(word):
        raise UsageError(trouble[0], where="--url", hint="http://127.0.0.1:8484/v1")
    word = word.rstrip("/")
    return word if word.endswith("/v1") else f"{word}/v1"


def _offer_of_server(base: str | None) -> Offer:
    urls = server_urls(base)
    if not urls:
        raise UsageError(
            "no server of this user runs here, and no file was named",
            hint="trueup config export CLIENT --config trueup.yaml",
        )
    if len(urls) > 1:
        _say(f"several servers run here: {', '.join(urls)}; the first one is taken (or: --url)")
    base = _base(urls[0])
    rows = ask_server(base, "/v1/models", wants="data")["data"]
    named = [(_sort_of(own), str(row["id"]), str(own.get("kind"))) for row, own in _owns(rows)]
    return _offer(base, named)


def _owns(rows: object) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [(row, own) for row in found if isinstance(own := row.get("trueup"), dict)]


def _sort_of(own: Mapping[str, Any]) -> str:
    if "alias_of" in own:
        return "alias"
    return "role" if own.get("role") else "model"


def _offer_of_file(path: Path, base: str | None) -> Offer:
    from trueup.config.load import load_config

    settings = load_config(path, os.environ)
    kinds = {str(model.name): _kind_of(model) for model in settings.models}
    kinds |= {backend.name: backend.kind for backend in settings.backends}
    named = [("model", name, kind) for name, kind in kinds.items()]
    for role in settings.roles:
        kinds[role.name] = kinds[role.chain[0]]
        named.append(("role", role.name, kinds[role.name]))
    named += [("alias", alias.name, kinds[alias.target]) for alias in settings.aliases]
    return _offer(base or _listening(settings.server, path), named)


def _kind_of(model: ModelSettings) -> str:
    """What the file says, else what the model's own files say; a guess is told."""
    if model.kind != "auto":
        return model.kind
    from trueup.cli.serve_plans import plan_models

    try:
        (plan,) = plan_models([model], is_run=False).values()
    except TrueUpError as error:
        _say(f"warning: `{model.name}` is taken for a chat model: {error.cause}")
        return "chat"
    return plan.kind


def _listening(server: ServerSettings, path: Path) -> str:
    """The address for programs of this machine."""
    if server.port == 0:
        raise UsageError(
            "the port is known only when the server runs",
            where=f"{path}: server.port",
            hint="name the server: --url http://127.0.0.1:PORT",
        )
    host = server.host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if address.is_unspecified:
            address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
        host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{server.port}/v1"


def _offer(base: str, named: list[tuple[str, str, str]]) -> Offer:
    named.sort(key=lambda each: ORDER.index(each[0]))

    def of(kind: str) -> tuple[str, ...]:
        return tuple(name for _, name, each in named if each == kind)

    return Offer(url=base, chat=of("chat"), embedding=of("embedding"))


def _say(line: str) -> None:
    print(line, file=sys.stderr)
