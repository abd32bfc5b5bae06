"""`trueup backends`: what a running server can ask, what it learned, and what a server can do."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from trueup.cli.backends_target import target_of
from trueup.cli.backends_text import backend_lines, profile_lines
from trueup.cli.server_api import ask_server, server_urls
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.errors import BackendError, ConfigError, UsageError

DEFAULT_SECONDS = 20.0
# Servers that need longer for all questions are told so; the rows that are left say it.
TOTAL_SECONDS = 300.0
ERASE_LINE = "\r\x1b[K"
EXAMPLE = """  trueup backends
  trueup backends check http://127.0.0.1:9997/v1
  trueup backends check xin --config trueup.yaml --format yaml
  trueup backends check tuned
  trueup backends trust-host tuned
  trueup backends clear xin"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup backends` takes."""
    _add_listing(parser, default_url=None, default_form="text")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=False)
    parser.set_defaults(action="list")

    def action(name: str, text: str, example: str) -> argparse.ArgumentParser:
        return actions.add_parser(
            name,
            help=text,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"example:\n  trueup backends {name} {example}",
        )

    listed = action("list", "what a running server can ask, and what it learned", "")
    clear = action(
        "clear", "have a running server forget what it learned", "xin --url http://127.0.0.1:8484"
    )
    clear.add_argument(
        "name", nargs="?", metavar="NAME", help="of this backend alone (default: of all)"
    )
    for each in (listed, clear):
        _add_listing(each, default_url=argparse.SUPPRESS, default_form=argparse.SUPPRESS)
    _add_check(
        action(
            "check",
            "ask a server harmless questions and print its profile; of a model that LlamaFactory "
            "runs, look at each thing that it needs",
            "xin",
        )
    )
    _add_trust(action("trust-host", "show a host's SSH keys and trust them", "tuned"))


def _add_listing(parser: argparse.ArgumentParser, *, default_url: Any, default_form: str) -> None:
    parser.add_argument(
        "--url", default=default_url, help="ask this server (default: the one that runs here)"
    )
    parser.add_argument("--format", choices=("text", "json"), default=default_form)


def _add_check(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "server",
        metavar="NAME|URL",
        help="a backend of the configuration, or a URL such as http://127.0.0.1:9997/v1",
    )
    check.add_argument("--preset", metavar="P", help="what kind of server it is (else guessed)")
    check.add_argument("--model", metavar="M", help="the model to ask (default: the first)")
    check.add_argument(
        "--api-key-env", metavar="VAR", help="the environment variable that holds the key"
    )
    _add_config(check)
    check.add_argument(
        "--timeout-seconds",
        type=_seconds,
        default=DEFAULT_SECONDS,
        metavar="N",
        help=f"how long to wait for each answer (default: {DEFAULT_SECONDS:g})",
    )
    check.add_argument("--format", choices=("text", "json", "yaml"), default="text")


def _add_trust(trust: argparse.ArgumentParser) -> None:
    trust.add_argument("name", metavar="NAME", help="a backend of the configuration with a host")
    trust.add_argument("--yes", action="store_true", help="trust them without being asked")
    trust.add_argument(
        "--replace", action="store_true", help="also where another key of that host is known"
    )
    _add_config(trust)
    trust.add_argument("--format", choices=("text", "json"), default="text")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="where NAME is looked up (default: TRUEUP_CONFIG)"
    )


def _seconds(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{word}` is no number of seconds") from None
    if not 0 < value <= TOTAL_SECONDS:
        raise argparse.ArgumentTypeError(f"`{word}` is not above 0 and up to {TOTAL_SECONDS:g}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Carry out one action; a check is 1 where the server cannot be reached or used."""
    if arguments.action == "check":
        return asyncio.run(_check(arguments))
    if arguments.action == "trust-host":
        from trueup.cli.backends_trust import trust_host

        return asyncio.run(trust_host(arguments, os.environ))
    return _clear(arguments) if arguments.action == "clear" else _list(arguments)


async def _check(arguments: argparse.Namespace) -> int:
    from trueup.cli.backends_check import checked
    from trueup.cli.backends_prober import Prober

    target = target_of(arguments, os.environ)
    if isinstance(target, LlamaFactorySettings):
        from trueup.cli.backends_llamafactory import check_llamafactory

        return await check_llamafactory(target, arguments)
    async with Prober(
        api_key=target.api_key,
        request_seconds=arguments.timeout_seconds,
        total_seconds=TOTAL_SECONDS,
    ) as prober:
        profile = await checked(target, prober, _tell)
    _tell("")
    if arguments.format == "json":
        print(json.dumps(profile.as_dict(), indent=2, ensure_ascii=False))
    elif arguments.format == "yaml":
        print(profile.entry_yaml() if profile.kind else "", end="")
    else:
        print("\n".join(profile_lines(profile)))
    if not profile.is_reachable:
        print(f"error: {target.url} cannot be reached", file=sys.stderr)
        print(f"hint:  is it running? curl {target.url}/models", file=sys.stderr)
    elif not profile.is_sound:
        print(f"error: {profile.trouble}", file=sys.stderr)
        if profile.hint is not None:
            print(f"hint:  {profile.hint}", file=sys.stderr)
    return int(not profile.is_sound)


def _tell(what: str) -> None:
    """Show on a terminal what is being asked."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"{ERASE_LINE}{what and f'asking: {what}'}", end="", file=sys.stderr, flush=True)


def _list(arguments: argparse.Namespace) -> int:
    urls = server_urls(arguments.url)
    if not urls:
        if arguments.format == "json":
            print(json.dumps({"schema_version": 1, "servers": []}))
        raise ConfigError(
            "no server of this user runs here", hint="start one: trueup serve, or name it: --url"
        )
    servers = []
    for url in urls:
        try:
            shape = ask_server(url, "/api/backends", wants="backends")
        except BackendError as error:
            if len(urls) == 1:
                raise
            hint = f"; {error.hint}" if error.hint else ""
            print(f"{url}: {error.cause}{hint}", file=sys.stderr)
            continue
        servers.append({"url": url, "backends": shape["backends"]})
    if arguments.format == "json":
        print(json.dumps({"schema_version": 1, "servers": servers}, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(backend_lines(server)) for server in servers))
    return 0 if servers else 1


def _clear(arguments: argparse.Namespace) -> int:
    name = arguments.name
    url = _server_with(name, server_urls(arguments.url))
    path = "/api/backends/lessons"
    if name is not None:
        path = f"/api/backends/{quote(name, safe='')}/lessons"
    shape = ask_server(url, path, method="DELETE", wants="cleared")
    if arguments.format == "json":
        print(json.dumps({"schema_version": 1, "url": url, "cleared": shape["cleared"]}))
    else:
        count = shape["cleared"]
        print(f"{count} lesson{'' if count == 1 else 's'} forgotten{f' of {name}' if name else ''}")
    return 0


def _server_with(name: str | None, urls: Sequence[str]) -> str:
    """The one server that is meant: the only one, or the only one with a backend of that name.

    Raises:
        UsageError: none runs here, or several may be meant.
    """
    if not urls:
        raise UsageError("no server of this user runs here", hint="start one: trueup serve")
    if len(urls) == 1:
        return urls[0]
    having = [url for url in urls if name is not None and name in _backend_names(url)]
    if len(having) == 1:
        return having[0]
    found = having or urls
    whose = f" with a backend `{name}`" if having else ""
    raise UsageError(
        f"{len(found)} servers{whose} run here ({', '.join(found)}), expected 1",
        hint=f"name it: --url {found[0]}",
    )


def _backend_names(url: str) -> set[str]:
    with contextlib.suppress(BackendError):
        rows = ask_server(url, "/api/backends", wants="backends")["backends"]
        return {str(row.get("name")) for row in rows}
    return set()
