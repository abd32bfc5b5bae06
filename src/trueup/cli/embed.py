"""`trueup embed`: texts and files as vectors."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trueup.adapt.wishes import DTYPES, POOLINGS
from trueup.cli import words
from trueup.cli.client import FP32_BYTES, ChatClient
from trueup.cli.embedding_client import PRIVATE
from trueup.cli.private_server import PrivateServerEnded
from trueup.cli.served import served
from trueup.cli.streams import utf8_of
from trueup.errors import UsageError

SCHEMA_VERSION = 1
SHOWN_NUMBERS = 4
# Options may stand between TEXTs.
MIXES_OPTIONS = True
LABEL_CHARACTERS = 40
PATH_STARTS = ("/", "./", "../", "~/")
EXAMPLE = """  trueup embed ./codebert "def add(a, b): return a + b" "add two numbers"
  trueup embed ./codebert --file src/app.py --file src/old.py
  trueup embed ./codebert --lines --format json < queries.txt
  trueup embed ./codebert --dtype int8 "the first use converts the model and measures it\""""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup embed` takes."""
    parser.add_argument(
        "model", metavar="MODEL", help="a directory, a hub id, or a name that the server knows"
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="a text; `-` reads one from stdin")
    parser.add_argument(
        "--file", action="append", default=[], type=Path, metavar="FILE", help="a file's content"
    )
    parser.add_argument(
        "--lines", action="store_true", help="every line of stdin that is not blank is a text"
    )
    parser.add_argument(
        "--url", type=words.url, help="ask this OpenAI-compatible server: http://127.0.0.1:8484"
    )
    parser.add_argument("--dimensions", type=int, metavar="N", help="only the first N numbers")
    parser.add_argument(
        "--truncate",
        choices=("start", "end"),
        help="cut texts that do not fit at this end (default: embed all of them by windows)",
    )
    parser.add_argument("--prompt-name", metavar="NAME", help="one of the model's own prompts")
    parser.add_argument("--revision", help="commit, tag or branch of a hub id")
    parser.add_argument("--dtype", choices=DTYPES, help="of the private server's model")
    parser.add_argument("--device", type=words.device, help="of the private server's model")
    parser.add_argument("--pooling", choices=POOLINGS, help="of the private server's model")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Print a vector for each text; long ones are embedded by windows unless truncated."""
    if arguments.dimensions is not None and arguments.dimensions < 1:
        raise UsageError(
            f"`{arguments.dimensions}` dimensions, expected 1 or more", where="--dimensions"
        )
    labelled = _texts(arguments)
    try:
        answer = asyncio.run(_ask(arguments, [text for _, text in labelled]))
    except PrivateServerEnded:
        return 1
    labels = [label for label, _ in labelled]
    if arguments.format == "json":
        print(json.dumps(_report(answer, labels), ensure_ascii=False))
    else:
        print("\n".join(_lines(answer, labels)))
    return 0


def _texts(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """What to embed, each with what it is called in the answer."""
    found = []
    for word in arguments.texts:
        text = _read_stdin() if word == "-" else _utf8(word, "TEXT")
        if word != "-" and (os.path.isfile(word) or _is_like_path(word)):
            told = f"note: `{text}` is embedded as this text; `--file` embeds the file's content"
            print(
                told if os.path.isfile(word) else f"{told}, and there is no such file",
                file=sys.stderr,
            )
        found.append(("stdin" if word == "-" else text, text))
    found += [(str(path), _read_file(path)) for path in arguments.file]
    if arguments.lines:
        found += [
            (line, line) for line in map(_without_return, _read_stdin().split("\n")) if line.strip()
        ]
    if not found:
        raise UsageError(
            "there is nothing to embed",
            hint="give a TEXT, --file FILE, or --lines with texts on stdin",
        )
    for label, text in found:
        if not text:
            raise UsageError("the text is empty", where=label or "TEXT")
    return found


def _is_like_path(word: str) -> bool:
    """Whether a text has the look of a path: a single word that begins or ends as one."""
    folder, slash, name = word.rpartition("/")
    is_named = bool(folder and slash) and name.rpartition(".")[2].isalpha() and "." in name
    is_path = word.startswith(PATH_STARTS) or is_named
    return is_path and len(word.split()) == 1 and not word.startswith("//")


def _without_return(line: str) -> str:
    return line.removesuffix("\r")


def _read_stdin() -> str:
    return _decoded(sys.stdin.buffer.read(), "stdin")


def _read_file(path: Path) -> str:
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(
            f"the file cannot be read: {error.strerror or error}", where=str(path)
        ) from error


def _decoded(content: bytes, where: str) -> str:
    if b"\0" in content:
        raise UsageError("binary content, expected text", where=where)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}",
            where=where,
            hint="convert it: iconv -f ENCODING -t UTF-8",
        ) from error


def _utf8(word: str, where: str) -> str:
    text = utf8_of(word)
    if text is None:
        raise UsageError("the text is not UTF-8", where=where)
    return text


async def _ask(arguments: argparse.Namespace, texts: Sequence[str]) -> dict[str, Any]:
    wishes = {name: getattr(arguments, name) for name in ("revision", "dtype", "device", "pooling")}
    options: dict[str, Any] = {
        name: value
        for name in ("dimensions", "truncate", "prompt_name")
        if (value := getattr(arguments, name)) is not None
    }
    async with served(arguments.model, url=arguments.url, options=wishes, private=PRIVATE) as (
        client,
        name,
    ):
        if "truncate" not in options and await _has_windows(client, name):
            options["windows"] = True
        vectors, shape = await client.embeddings(name, texts, options)
        return {**shape, "vectors": vectors}


async def _has_windows(client: ChatClient, name: str) -> bool:
    """Whether it is a server of ours: others know no windows."""
    return any(row.get("id") == name and "trueup" in row for row in await client.models())


def _numbers(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // FP32_BYTES}f", vector)


def _report(answer: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "embeddings",
        "model": answer.get("model"),
        "data": [
            {"index": index, "source": label, "embedding": _numbers(vector)}
            for index, (label, vector) in enumerate(zip(labels, answer["vectors"], strict=True))
        ],
        "usage": answer.get("usage"),
        "notes": answer.get("trueup") or {},
    }


def _lines(answer: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    vectors = [_numbers(vector) for vector in answer["vectors"]]
    notes = answer.get("trueup") or {}
    shown = [" ".join(label.split())[:LABEL_CHARACTERS] for label in labels]
    width = max(map(len, shown))
    lines = []
    for index, (label, vector) in enumerate(zip(shown, vectors, strict=True)):
        numbers = " ".join(f"{number:+.4f}" for number in vector[:SHOWN_NUMBERS])
        columns = [f"{label:<{width}}", f"{len(vector)} dimensions", f"{numbers} …"]
        if index:
            columns.append(f"cosine to the first {_cosine(vectors[0], vector):.4f}")
        columns += [name for name in ("truncated", "windows") if index in notes.get(name, ())]
        lines.append("  ".join(columns))
    return lines


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(left, right, strict=True))
    lengths: float = sum(a * a for a in left) ** 0.5 * sum(b * b for b in right) ** 0.5
    return product / lengths if lengths else 0.0
