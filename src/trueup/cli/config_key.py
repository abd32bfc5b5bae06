"""`trueup config key`: a new key for clients, and the entry of the configuration that knows it."""

from __future__ import annotations

import argparse
import getpass
import hashlib
import json
import re
import secrets
import sys
from typing import Any

from trueup.config.secret import Secret
from trueup.config.settings import PROFILES
from trueup.errors import UsageError

# People and scanners for lost secrets know it by this; some clients look for `sk-`.
PREFIX = "sk-trueup-"
RANDOM_BYTES = 32
# Shorter ones can be guessed from their hash.
SAFE_CHARACTERS = 20
MAX_KEY_BYTES = 8192
NAME = re.compile(r"[^\s\x00-\x1f]{1,200}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup config key` takes."""
    parser.add_argument("--name", help="what the access log calls the key")
    parser.add_argument(
        "--profile", help=f"how its clients are answered: {', '.join(PROFILES)}, or one of yours"
    )
    parser.add_argument(
        "--stdin", action="store_true", help="read a key that exists instead of making one"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Print the entry to stdout and a new key, this once, to stderr."""
    for flag, word in (("--name", arguments.name), ("--profile", arguments.profile)):
        if word is not None and not (NAME.fullmatch(word) and word.isprintable()):
            raise UsageError(f"`{word}` is no name: 1 to 200 characters, no spaces", where=flag)
    made = None if arguments.stdin else PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    entry = _entry(Secret(made or _given()), arguments.name, arguments.profile)
    if arguments.format == "json":
        # For programs, which read one stream.
        print(json.dumps({"schema_version": 1, "kind": "key", "key": made, "entry": entry}))
        return 0
    print(_flow(entry))
    _say("paste the line into the configuration: server: api_keys:")
    if arguments.profile is not None and arguments.profile not in PROFILES:
        _say(f"`{arguments.profile}` is not built in: describe it under `profiles` there")
    if made is not None:
        _say(f"the key, shown only now (the configuration holds its hash alone):\n{made}")
    return 0


def _given() -> str:
    """The key that is typed or piped.

    Raises: UsageError where there is none, or clients could not send it.
    """
    if sys.stdin is None:
        raw = b""
    elif sys.stdin.isatty():
        raw = _typed().encode(errors="surrogateescape")
    else:
        raw = sys.stdin.buffer.read(MAX_KEY_BYTES + 1)
    if len(raw) > MAX_KEY_BYTES:
        raise UsageError(f"the key is longer than {MAX_KEY_BYTES} bytes", where="--stdin")
    key = raw.strip().decode("latin-1")
    if not key:
        raise UsageError("there is no key", where="--stdin", hint="trueup config key")
    if not key.isascii() or not key.isprintable():
        raise UsageError("the key is not printable ASCII", where="--stdin")
    if len(key) < SAFE_CHARACTERS:
        _say(
            f"warning: a key of {len(key)} characters can be guessed from its hash; "
            "`trueup config key` makes a better one"
        )
    return key


def _typed() -> str:
    try:
        return getpass.getpass("key: ")
    except EOFError:
        return ""


def _entry(key: Secret, name: str | None, profile: str | None) -> dict[str, Any]:
    shape = {"name": name, "sha256": hashlib.sha256(key.reveal().encode()).hexdigest()}
    told = {**shape, "profile": profile}
    return {word: value for word, value in told.items() if value is not None}


def _flow(entry: dict[str, Any]) -> str:
    """An item of a YAML list; quoted, because a hash may look like a number."""
    words = (f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items())
    return f"- {{{', '.join(words)}}}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
