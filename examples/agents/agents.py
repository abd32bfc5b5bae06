"""Three agents behind one prompt: one talks, one compares code, one comments on figures.

Usage: `python agents.py` for a conversation, `python agents.py --once "message"` for one answer.
Answers go to stdout, all else to stderr. Exit status 0 ok, 1 no answer, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from code_agent import CodeAgent
from connection import AgentError, open_client
from coordinator import route
from performance_agent import PerformanceAgent
from user_agent import UserAgent

HERE = Path(__file__).resolve().parent
HELP = """Ask anything, in English or Chinese. The words decide who answers, or a command:
随便问，中文或英文都可以。由用词决定谁来回答，也可以用命令：
  /talk  talk 对话        hello              你好
  /code  code 代码        which functions are duplicates?    哪些函数重复？
  /perf  figures 性能     how is the latency?                性能怎么样？
  /help  /quit"""
INTERRUPTED = 130


class Agent(Protocol):
    """What the coordinator hands a message to."""

    role: str

    def answer(self, message: str) -> Iterator[str]:
        """Pieces of the answer as they come."""
        ...


def main(words: list[str] | None = None) -> int:
    """Answer once or until the user leaves."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--once", metavar="MESSAGE", help="answer this one and end")
    parser.add_argument("--code", type=Path, default=HERE / "sample_project", metavar="FOLDER")
    parser.add_argument("--figures", type=Path, default=HERE / "figures.csv", metavar="FILE")
    arguments = parser.parse_args(words)
    if arguments.once is not None and not arguments.once.strip():
        parser.error("--once: the message is empty")
    agents = open_agents(arguments.code, arguments.figures)
    try:
        if arguments.once is not None:
            return 0 if answered(agents, arguments.once) else 1
        return converse(agents)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED


def open_agents(folder: Path, figures: Path) -> dict[str, Agent]:
    """The three agents by their roles; nothing is asked yet."""
    client = open_client()
    agents: tuple[Agent, ...] = (
        UserAgent(client),
        CodeAgent(client, folder),
        PerformanceAgent(client, figures),
    )
    return {agent.role: agent for agent in agents}


def answered(agents: Mapping[str, Agent], message: str) -> bool:
    """Print who answers and the answer as it comes; False where there is none."""
    has_begun = False
    last = ""
    try:
        # What the terminal sent that is no UTF-8 cannot be sent on.
        role, question = route(message.encode("utf-8", "replace").decode())
        for piece in agents[role].answer(question):
            if not has_begun:
                print(f"[{role}]")
                has_begun = True
            print(piece, end="", flush=True)
            last = piece or last
    except AgentError as error:
        if has_begun and not last.endswith("\n"):
            print(flush=True)
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"  hint:  {error.hint}", file=sys.stderr)
        return False
    if not has_begun:
        print(f"error: `{role}` gave an empty answer", file=sys.stderr)
        return False
    if not last.endswith("\n"):
        print(flush=True)
    return True


def converse(agents: Mapping[str, Agent]) -> int:
    """Read messages until /quit or the end of stdin. Ctrl-C ends an answer, then the program."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")  # arrow keys and history for input()
        print(HELP, file=sys.stderr)
    while True:
        try:
            # Not as input()'s prompt: that goes to stdout, where answers are.
            print("> ", end="", file=sys.stderr, flush=True)
            message = input().strip()
        except EOFError:
            print(file=sys.stderr)
            return 0
        if message in ("/quit", "/exit"):
            return 0
        if message == "/help":
            print(HELP, file=sys.stderr)
        elif message:
            try:
                answered(agents, message)
            except KeyboardInterrupt:
                print("\n(interrupted)", file=sys.stderr)


if __name__ == "__main__":
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough; nothing is left to flush to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
