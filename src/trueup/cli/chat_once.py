"""`trueup chat --json`: one JSON object in, one out, for programs that start one for each message.

Whatever fails is an object too; all else goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from trueup.cli.chat_backend import (
    NAME,
    entry_of_words,
    known_key,
    llamafactory_entry,
    served_backend,
)
from trueup.cli.client import Answer
from trueup.cli.main import EXIT_FAILURE, print_error
from trueup.cli.private_server import PrivateServerEnded
from trueup.cli.streams import json_line, piped_text, utf8_text
from trueup.cli.waiting import WaitingNote
from trueup.errors import TrueUpError, UsageError

FLAG = "--json"
EXAMPLE = '{"base_model_path": "/models/Qwen2.5-7B-Instruct", "message": "你好"}'
OPTIONS = ("temperature", "top_p", "max_tokens", "seed")
OF_MESSAGE = ("message", "system", *OPTIONS)


async def chat_once(arguments: argparse.Namespace) -> int:
    """Answer on stdout; 1 where that is an error."""
    try:
        said = await _answer(arguments)
    except TrueUpError as error:
        return print_failure(error, EXIT_FAILURE)
    except PrivateServerEnded:
        why = {"message": "no server could be started: stderr says why", "type": "server_ended"}
        return _print({"error": why}, 1)
    return _print(said, 0)


def print_failure(error: TrueUpError, status: int) -> int:
    """Tell of an error on both ways; returns the status."""
    print_error(error)
    stated = {
        "message": error.cause,
        "type": type(error).__name__,
        "code": getattr(error, "code", None),
        "hint": error.hint,
    }
    return _print({"error": stated}, status)


def _print(shape: Mapping[str, Any], status: int) -> int:
    print(json_line(shape))
    return status


async def _answer(arguments: argparse.Namespace) -> dict[str, str]:
    text = piped_text() if arguments.json == "-" else utf8_text(arguments.json, FLAG)
    request = _read(text)
    message = _message(request)
    options = {name: value for name in OPTIONS if (value := request.pop(name, None)) is not None}
    options = {"temperature": 0.0, **options}
    system = request.pop("system", None)
    if not isinstance(system, str | None):
        raise UsageError("`system` is no text", where=FLAG)
    told = {known_key(name, FLAG, OF_MESSAGE): value
            for name, value in request.items() if not _is_blank(value)}  # fmt: skip
    words = entry_of_words(arguments.llamafactory or ())
    entry = llamafactory_entry({**words, **told}, FLAG, EXAMPLE)
    messages = [{"role": "user", "content": message}]
    # Said in the request, too: a server that runs may have the model with another one.
    if system := system or entry.get("default_system"):
        messages.insert(0, {"role": "system", "content": str(system)})
    answer = Answer()
    async with served_backend(NAME, entry, where=FLAG) as (client, model):
        with WaitingNote() as note:
            async for _ in client.stream(model, messages, answer, options):
                note.end()
    if answer.finish_reason == "length":
        print("(cut at the token limit: `max_tokens` raises it)", file=sys.stderr)
    return {"role": "assistant", "content": answer.content}


def _read(text: str) -> dict[str, Any]:
    try:
        shape = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"this is no JSON: {error}", where=FLAG, hint=EXAMPLE) from error
    if not isinstance(shape, dict):
        raise UsageError("this is no JSON object", where=FLAG, hint=EXAMPLE)
    return shape


def _message(request: dict[str, Any]) -> str:
    """Take it out of the request; raises UsageError where there is none."""
    if "message" not in request:
        raise UsageError("there is no `message`", where=FLAG, hint=EXAMPLE)
    message = request.pop("message")
    if not isinstance(message, str):
        raise UsageError("`message` is no text", where=FLAG, hint=EXAMPLE)
    if not message.strip():
        raise UsageError("`message` is empty", where=FLAG)
    return message


def _is_blank(value: object) -> bool:
    """As programs write what they have not got."""
    return isinstance(value, str) and not value.strip()
