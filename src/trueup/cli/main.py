"""The `trueup` command: finds the verb, imports only that verb's module, turns errors into exits.

Data goes to stdout, everything else to stderr. Exit status: 0 ok, 1 findings or an expected
failure, 2 usage, 3 a bug of ours (a report is saved), 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import Protocol

import trueup
from trueup.cli.crash import save_report
from trueup.cli.streams import flush_fault, output_fault, prepare_output
from trueup.errors import TrueUpError, UsageError

EXIT_OK, EXIT_FAILURE, EXIT_USAGE, EXIT_BUG, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

VERBS: dict[str, str] = {
    "check": "say what will break in a model directory, and what to do, before it is loaded",
    "trust": "look at the code that a model brings, and let it run or not",
    "plan": "say how a model would be run, and why, without loading it",
    "env": "build and show environments for models that need other releases",
    "verify": "prove that what would be served is the model that was published",
    "chat": "talk to a model in the terminal",
    "serve": "serve models behind one OpenAI-compatible endpoint",
    "ps": "show what a running server has loaded",
    "backends": "list what a server asks, forget what it learned, check what a server can do",
    "config": "write, check, show or convert a configuration file",
    "embed": "turn texts and files into vectors",
    "similar": "find code that is alike: in two files, in a directory, or all duplicates",
    "forecast": "forecast candles with a Kronos model, or see how well it would have done",
    "suite": "test a whole system: checks, loading, acceptance figures, and a report",
    "demo": "show the main job on a small model that comes with TrueUp",
}


class Verb(Protocol):
    """What each `trueup.cli.<verb>` module offers."""

    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Carry it out; returns the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status instead of raising SystemExit."""
    words = list(sys.argv[1:] if argv is None else argv)
    prepare_output()
    if sys.stdout is None:  # before any file that is opened takes its number
        return _unwritten(OSError("standard output is closed"))
    status = _run(words)
    fault = output_fault()
    return status if fault is None else _unwritten(fault)


def _run(words: list[str]) -> int:
    try:
        arguments, verb = _parse(words)
        return verb.run(arguments)
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a usage error
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except TrueUpError as error:
        print_error(error)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
    except Exception as error:
        if isinstance(error, OSError) and (fault := output_fault(error)):
            return _unwritten(fault)
        _say(f"error: a bug in TrueUp: {type(error).__name__}: {error}")
        _say(f"  where: {save_report(words, error)}")
        _say("  hint:  report it with that file")
        return EXIT_BUG


def _unwritten(fault: OSError) -> int:
    """Say why the output is not complete, unless its reader has simply gone."""
    if not isinstance(fault, BrokenPipeError):
        reason = fault.strerror or str(fault)
        _say(f"error: the output cannot be written: {reason}")
    return EXIT_FAILURE


def print_error(error: TrueUpError) -> None:
    """Show an expected error on stderr: cause, where, hint; a cause may have several lines."""
    from trueup.doctor.render.text import printable

    first, *more = error.cause.split("\n")
    _say(f"error: {printable(first)}")
    for line in more:
        _say(f"       {printable(line)}")
    if error.where:
        _say(f"  where: {printable(error.where)}")
    if error.hint:
        _say(f"  hint:  {printable(error.hint)}")


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the exit status still tells
        print(line, file=sys.stderr)
    flush_fault(sys.stderr)


def _parse(words: list[str]) -> tuple[argparse.Namespace, Verb]:
    width = max(map(len, VERBS))
    listing = "\n".join(f"  {name:<{width}}  {text}" for name, text in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="trueup",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="trueup [--version] COMMAND ...",
        description=f"Run open-weight models that break on your libraries.\n\ncommands:\n{listing}",
        epilog="example: trueup demo        `trueup COMMAND --help` tells more",
    )
    parser.add_argument("--version", action="version", version=f"trueup {trueup.__version__}")
    parser.add_argument("command", choices=VERBS, metavar="COMMAND", help=argparse.SUPPRESS)
    if not words:
        parser.print_help(sys.stderr)
        parser.exit(EXIT_USAGE)
    if not words[0].startswith("-") and words[0] not in VERBS:
        nearest = difflib.get_close_matches(words[0], VERBS, n=1)
        raise UsageError(
            f"`{words[0]}` is no command",
            hint=f"trueup {nearest[0]}" if nearest else "trueup --help",
        )
    command = parser.parse_args(words[:1]).command
    module = importlib.import_module(f"trueup.cli.{command}")
    verb_parser = argparse.ArgumentParser(
        prog=f"trueup {command}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=VERBS[command],
        epilog=f"example:\n{module.EXAMPLE}",
    )
    module.add_arguments(verb_parser)
    if getattr(module, "MIXES_OPTIONS", False):
        return verb_parser.parse_intermixed_args(words[1:]), module
    return verb_parser.parse_args(words[1:]), module


if __name__ == "__main__":
    sys.exit(main())
