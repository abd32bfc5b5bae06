"""`trueup chat`: one message, or a conversation in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from trueup.adapt.wishes import DTYPES, ROUTES
from trueup.cli import words
from trueup.cli.client import Answer, ChatClient
from trueup.cli.private_server import PrivateServerEnded
from trueup.cli.served import served
from trueup.cli.streams import json_line, piped_text, utf8_text
from trueup.cli.waiting import WaitingNote
from trueup.errors import UsageError

MAX_TEMPERATURE = 2.0
TARGETS = ("MODEL", "--url", "--backend", "--llamafactory")
OF_MESSAGE = ("--message", "--system", "--temperature", "--max-tokens", "--seed")
OF_PRIVATE_MODEL = ("--revision", "--route", "--dtype", "--device", "--isolated-python")
EXAMPLE = """  trueup chat demo
  trueup chat demo --message 你好
  echo "What is TrueUp?" | trueup chat demo --format json
  trueup chat --llamafactory base=/models/Qwen2.5-7B adapter=/models/mine template=qwen
  trueup chat --json '{"base_model_path": "/models/Qwen2.5-7B", "message": "你好"}'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup chat` takes."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a directory, a hub id, or a name that the server knows (default: demo)",
    )
    parser.add_argument("--message", metavar="TEXT", help="ask this one thing and end")
    parser.add_argument("--system", metavar="TEXT", help="the system message")
    parser.add_argument(
        "--backend", metavar="NAME", help="talk to this backend of the configuration"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="where --backend is (TRUEUP_CONFIG)"
    )
    parser.add_argument(
        "--llamafactory",
        nargs="+",
        metavar="KEY=VALUE",
        help="talk to a model that LlamaFactory runs: base=… adapter=… template=… "
        "host=user@host, and the configuration's other keys of such a backend",
    )
    parser.add_argument(
        "--json",
        metavar="OBJECT",
        help="the same as one JSON object with a `message`, `-` for stdin; one JSON object is "
        "answered: role and content, or error",
    )
    parser.add_argument("--revision", help="commit, tag or branch of a hub id")
    parser.add_argument(
        "--url", type=words.url, help="ask this OpenAI-compatible server: http://127.0.0.1:8484"
    )
    parser.add_argument(
        "--temperature",
        type=_temperature,
        metavar="T",
        help=f"0 to {MAX_TEMPERATURE:.0f}; 0 (the default here) is greedy",
    )
    parser.add_argument(
        "--max-tokens", type=_token_count, metavar="N", help="the longest answer, in tokens"
    )
    parser.add_argument("--seed", type=int, help="makes sampled answers repeatable")
    parser.add_argument(
        "--route", choices=ROUTES, help="of the private server's model (default: auto)"
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, help="of the private server's model (default: auto)"
    )
    parser.add_argument(
        "--device", type=words.device, help="of the private server's model (default: auto)"
    )
    parser.add_argument(
        "--isolated-python",
        metavar="PATH",
        help="of the private server's model: your environment for the route isolated",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")


def _temperature(word: str) -> float:
    value = float(word)
    if not 0 <= value <= MAX_TEMPERATURE:
        raise argparse.ArgumentTypeError(f"`{word}` is not from 0 to {MAX_TEMPERATURE:.0f}")
    return value


def _token_count(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f"`{word}` is not 1 or more")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Answer one message, from `--message` or a pipe, or hold a conversation."""
    if arguments.json is not None:
        from trueup.cli.chat_once import chat_once, print_failure
        from trueup.cli.main import EXIT_USAGE

        try:
            _check_target(arguments)
        except UsageError as error:
            return print_failure(error, EXIT_USAGE)
        return asyncio.run(chat_once(arguments))
    _check_target(arguments)
    where = "stdin" if arguments.message is None else "--message"
    message = _piped() if arguments.message is None else utf8_text(arguments.message, "--message")
    if message is None and arguments.format == "json":
        raise UsageError(
            "`--format json` answers one message and none was given",
            where="--format",
            hint="add --message TEXT, or pipe the message in",
        )
    if message is not None and not message.strip():
        raise UsageError("the message is empty", where=where)
    if arguments.system is not None:
        arguments.system = utf8_text(arguments.system, "--system")
    try:
        return asyncio.run(_run(arguments, message))
    except PrivateServerEnded:
        return 1


def _check_target(arguments: argparse.Namespace) -> None:
    """See that one thing alone is to be talked to, and that every flag is about it."""
    given = _given(arguments, TARGETS)
    if arguments.json is not None and given not in ([], ["--llamafactory"]):
        raise UsageError(
            f"`--json` says what to talk to, and `{given[0]}` does too", where="--json"
        )
    if len(given) > 1 and given != ["MODEL", "--url"]:
        raise UsageError(
            f"`{given[0]}` and `{given[1]}` both say what to talk to",
            where=given[1],
            hint="leave one of them out",
        )
    if arguments.json is not None and (stray := _given(arguments, OF_MESSAGE)):
        name = stray[0].removeprefix("--").replace("-", "_")
        raise UsageError(
            f"`{stray[0]}` is not looked at beside `--json`",
            where=stray[0],
            hint=f"say it in the object: `{name}`",
        )
    target = "--json" if arguments.json is not None else given[0] if given else "MODEL"
    if target in ("--backend", "--llamafactory", "--json") and (
        stray := _given(arguments, OF_PRIVATE_MODEL)
    ):
        raise UsageError(
            f"`{stray[0]}` is of a model that a server of ours loads, and `{target}` names another",
            where=stray[0],
            hint="leave it out",
        )
    if arguments.config and not arguments.backend:
        raise UsageError(
            "`--config` says where `--backend NAME` is, and no NAME was given", where="--config"
        )


def _given(arguments: argparse.Namespace, flags: Sequence[str]) -> list[str]:
    """Those of the flags that say something."""
    return [
        flag
        for flag in flags
        if getattr(arguments, flag.lower().removeprefix("--").replace("-", "_")) not in (None, "")
    ]


@contextlib.asynccontextmanager
async def _served(arguments: argparse.Namespace) -> AsyncIterator[tuple[ChatClient, str]]:
    """Who answers: a backend of its own, or a server that has the model."""
    if arguments.backend or arguments.llamafactory:
        from trueup.cli.backends_target import configured
        from trueup.cli.chat_backend import (
            FLAG,
            NAME,
            entry_of_words,
            llamafactory_entry,
            served_backend,
        )

        if arguments.backend:
            name = arguments.backend
            _, entry = configured(
                name, arguments.config, os.environ, command="trueup chat --backend"
            )
        else:
            words = entry_of_words(arguments.llamafactory)
            entry = llamafactory_entry(words, FLAG)
            # Said in the request, too: a server that runs may have the model with another one.
            arguments.system = arguments.system or entry.get("default_system")
        where = None if arguments.backend else FLAG
        async with served_backend(arguments.backend or NAME, entry, where=where) as found:
            yield found
        return
    wishes = {name: getattr(arguments, name) for name in ("revision", "route", "dtype", "device")}
    wishes["isolated-python"] = arguments.isolated_python
    name = utf8_text(arguments.model or "demo", "MODEL")
    async with served(name, url=arguments.url, options=wishes) as found:
        yield found


def _piped() -> str | None:
    """The message on stdin; None where a terminal is there to talk in."""
    if sys.stdin is not None and sys.stdin.isatty():
        return None
    return piped_text().strip("\n")


async def _run(arguments: argparse.Namespace, message: str | None) -> int:
    options = {
        name: value
        for name, value in (
            ("temperature", 0.0 if arguments.temperature is None else arguments.temperature),
            ("max_tokens", arguments.max_tokens),
            ("seed", arguments.seed),
        )
        if value is not None
    }
    async with _served(arguments) as (client, model):
        if message is None:
            from trueup.cli.conversation import Conversation

            await Conversation(client, model, options, system=arguments.system).hold()
        else:
            messages = [{"role": "user", "content": message}]
            if arguments.system:
                messages.insert(0, {"role": "system", "content": arguments.system})
            await _answer_once(client, model, messages, options, arguments.format)
    return 0


async def _answer_once(
    client: ChatClient,
    model: str,
    messages: list[dict[str, str]],
    options: dict[str, float | int],
    form: str,
) -> None:
    answer = Answer()
    with WaitingNote() as note:
        async for text in client.stream(model, messages, answer, options):
            note.end()
            if form == "text":
                print(text, end="", flush=True)
    if form == "json":
        print(json_line({"role": "assistant", "content": answer.content}))
    else:
        print()
    if answer.finish_reason == "length":
        print("(cut at the token limit; raise --max-tokens)", file=sys.stderr)
