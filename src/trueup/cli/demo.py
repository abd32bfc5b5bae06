"""`trueup demo`: the main job on the checkpoint that comes with TrueUp, from check to answer."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable
from typing import Any

import orjson

from trueup.cli.client import Answer, ChatClient
from trueup.cli.private_server import PrivateServer, PrivateServerEnded, private_server
from trueup.cli.report import model_report
from trueup.cli.waiting import WaitingNote

EXAMPLE = """  trueup demo
  trueup demo --keep        (the server stays up until Ctrl-C)
  trueup demo --format json"""

SCHEMA_VERSION = 1
MODEL = "demo"
REPORTED_VERSION = "4.56.0"  # where the five errors were first met
QUESTIONS = ("你好，你是谁？", "Why does my model not run on new transformers?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup demo` takes."""
    parser.add_argument("--keep", action="store_true", help="leave the server running, keyless")
    parser.add_argument("--port", type=int, default=0, help="for the server (default: a free one)")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Check, plan, serve, ask, show."""
    is_text = arguments.format == "text"
    reported, _ = model_report("check", MODEL, transformers=REPORTED_VERSION)
    installed, _ = model_report("check", MODEL)
    plan, _ = model_report("plan", MODEL)
    if is_text:
        _show_reports(reported, installed, plan)
    shape = {
        "schema_version": SCHEMA_VERSION,
        "kind": "demo",
        "check": {REPORTED_VERSION: reported, "installed": installed},
        "plan": plan["plan"],
    }
    try:
        asyncio.run(_serve_and_ask(arguments, shape))
    except PrivateServerEnded:
        return 1
    except asyncio.CancelledError:
        return 0
    return 0


def _show_reports(
    reported: dict[str, Any], installed: dict[str, Any], plan: dict[str, Any]
) -> None:
    from trueup.cli.plan_text import plan_lines
    from trueup.doctor.render.report_text import report_lines
    from trueup.doctor.render.text import Line, print_lines

    def show(command: str, lines: Iterable[Line]) -> None:
        print_lines([Line(f"$ {command}", "title"), *lines, Line("")])

    show(f"trueup check {MODEL} --transformers {REPORTED_VERSION}", report_lines(reported))
    show(f"trueup check {MODEL}", report_lines(installed))
    show(f"trueup plan {MODEL}", plan_lines(plan))


async def _serve_and_ask(arguments: argparse.Namespace, shape: dict[str, Any]) -> None:
    is_text = arguments.format == "text"
    async with (
        private_server([MODEL], port=arguments.port, is_keyless=arguments.keep) as server,
        ChatClient(server.url, api_key=server.api_key) as client,
    ):
        if is_text:
            print(f"$ trueup serve {MODEL} --port {arguments.port}\nserving on {server.url}\n")
        answers = [await _ask(client, question, is_shown=is_text) for question in QUESTIONS]
        if is_text:
            print(f"Both answers came from {server.url}/chat/completions, as streams.")
        else:
            print(orjson.dumps({**shape, "url": server.url, "answers": answers}).decode())
        if arguments.keep:
            await _keep(server)


async def _ask(client: ChatClient, question: str, *, is_shown: bool) -> dict[str, Any]:
    answer = Answer()
    messages = [{"role": "user", "content": question}]
    if is_shown:
        print(f"> {question}")
    with WaitingNote() as note:
        async for piece in client.stream(MODEL, messages, answer, {"temperature": 0}):
            note.end()
            if is_shown:
                print(piece, end="", flush=True)
    if is_shown:
        print("\n")
    return {
        "question": question,
        "answer": answer.content,
        "finish_reason": answer.finish_reason,
    }


async def _keep(server: PrivateServer) -> None:
    print(
        f"The server stays up until Ctrl-C. Ask it:\n"
        f"  curl {server.url}/chat/completions -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"model":"{MODEL}","stream":true,'
        f'"messages":[{{"role":"user","content":"你好"}}]}}\'',
        file=sys.stderr,
        flush=True,
    )
    await server.ended()
