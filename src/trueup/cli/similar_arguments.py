"""What `trueup similar` is told, and which of its combinations can be meant."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import dataclass
from typing import Literal

from trueup.adapt.wishes import DTYPES, POOLINGS
from trueup.cli import similar_evaluate, words
from trueup.errors import UsageError
from trueup.similarity.language import BY_NAME

DEFAULT_MODEL = "microsoft/codebert-base"
# Scales differ from model to model; `--evaluate` finds the threshold that suits one.
DUPLICATE_SCORE = 0.95
TOP = {"files": 20, "search": 10, "duplicates": 50, "evaluate": 0}
OF_PRIVATE_SERVER = ("revision", "dtype", "device", "pooling")
Mode = Literal["files", "search", "duplicates", "evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A command line that can be meant; `paths` are A and B, or FILE; `directory` is DIR or ''."""

    mode: Mode
    paths: tuple[str, ...]
    directory: str
    language: str | None
    top: int
    min_score: float | None
    fail_above: float | None
    model: str
    format: str
    html: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup similar` takes."""
    parser.usage = (
        "trueup similar A B | FILE --in DIR | - --in DIR | --duplicates DIR | --evaluate PAIRS"
    )
    parser.add_argument(
        "paths", nargs="*", metavar="FILE", help="two files, or one to search for; `-` is stdin"
    )
    parser.add_argument("--in", dest="directory", metavar="DIR", help="search below DIR")
    parser.add_argument("--duplicates", metavar="DIR", help="what is alike below DIR")
    parser.add_argument(
        "--evaluate", metavar="PAIRS.jsonl", help="how well the model tells labelled pairs apart"
    )
    parser.add_argument(
        "--top",
        type=int,
        metavar="N",
        help="the best N pairs of two files, each snippet in one at most, or N matches of each "
        "snippet (default: 20 of two files, 10 with --in, 50 with --duplicates)",
    )
    parser.add_argument(
        "--min-score",
        type=float,
        metavar="S",
        help=f"nothing below this cosine (default with --duplicates: {DUPLICATE_SCORE})",
    )
    parser.add_argument(
        "--fail-above", type=float, metavar="S", help="exit 1 where a duplicate scores S or more"
    )
    parser.add_argument(
        "--language", choices=sorted(BY_NAME), metavar="NAME", help=f"of FILE: {', '.join(BY_NAME)}"
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help=f"the encoder (default: {DEFAULT_MODEL})"
    )
    parser.add_argument(
        "--url", type=words.url, help="ask this OpenAI-compatible server: http://127.0.0.1:8484"
    )
    for name in OF_PRIVATE_SERVER:
        choices = {"dtype": DTYPES, "pooling": POOLINGS}.get(name)
        shown = None if choices else name.upper()
        told = "of the private server's model"
        kind = words.device if name == "device" else str
        parser.add_argument(f"--{name}", type=kind, choices=choices, metavar=shown, help=told)
    parser.add_argument("--format", choices=("text", "json", "html"), default="text")
    parser.add_argument("--html", metavar="FILE", help="write a page with the snippets there too")
    similar_evaluate.add_arguments(parser)


def wish_of(arguments: argparse.Namespace) -> Wish:
    """The one thing that is asked for.

    Raises: UsageError where that is nothing, or several, or does not go with an option.
    """
    mode = _mode(arguments)
    _check_options(mode, arguments)
    least = arguments.min_score
    if mode == "duplicates":
        least = _least(least, arguments.fail_above)
    top = TOP[mode] if arguments.top is None else arguments.top
    return Wish(
        mode=mode,
        paths=tuple(arguments.paths),
        directory=arguments.directory or arguments.duplicates or "",
        language=arguments.language,
        top=top,
        min_score=least,
        fail_above=arguments.fail_above,
        model=arguments.model,
        format=arguments.format,
        html=arguments.html,
    )


def _mode(arguments: argparse.Namespace) -> Mode:
    paths = arguments.paths
    asked = [
        name
        for name in ("evaluate", "duplicates", "directory")
        if getattr(arguments, name) is not None
    ]
    flags = {"evaluate": "--evaluate", "duplicates": "--duplicates", "directory": "--in"}
    if len(asked) > 1:
        named = " and ".join(f"`{flags[name]}`" for name in asked)
        raise UsageError(f"{named} are different questions: ask one of them")
    if not asked:
        return _files_mode(paths)
    if asked == ["directory"]:
        if len(paths) != 1:
            raise UsageError(
                f"`--in` searches for the code of 1 file and {len(paths)} are named",
                where="--in",
                hint="trueup similar FILE --in DIR, or `-` for stdin",
            )
        _refuse_directories(paths)
        return "search"
    if paths:
        raise UsageError(
            f"`{flags[asked[0]]}` takes no other file and `{paths[0]}` is named",
            where=flags[asked[0]],
        )
    return "evaluate" if asked == ["evaluate"] else "duplicates"


def _files_mode(paths: list[str]) -> Mode:
    if len(paths) == 1 and os.path.isdir(paths[0]):
        raise UsageError(
            f"`{paths[0]}` is a directory, expected two files",
            hint=f"trueup similar --duplicates {paths[0]}",
        )
    if len(paths) != 2:
        raise UsageError(
            f"{len(paths)} files are named, expected two, or one and `--in DIR`",
            hint="trueup similar A B",
        )
    if "-" in paths:
        raise UsageError(
            "`-` is searched for: it goes with `--in`", hint="trueup similar - --in DIR"
        )
    _refuse_directories(paths)
    return "files"


def _refuse_directories(paths: list[str]) -> None:
    for path in paths:
        if os.path.isdir(path):
            raise UsageError(
                f"`{path}` is a directory, expected a file", hint="trueup similar FILE --in DIR"
            )


def _check_options(mode: Mode, arguments: argparse.Namespace) -> None:
    for name in ("min_score", "fail_above"):
        value, flag = getattr(arguments, name), f"--{name.replace('_', '-')}"
        if value is not None and not (math.isfinite(value) and -1 <= value <= 1):
            raise UsageError(f"the score is `{value:g}`, expected -1 to 1", where=flag)
    if arguments.top is not None and arguments.top < 1:
        raise UsageError(f"`{arguments.top}`, expected 1 or more", where="--top")
    belongs = {
        "--fail-above": ("fail_above", ("duplicates",)),
        "--language": ("language", ("search",)),
        "--min-score": ("min_score", ("files", "search", "duplicates")),
        "--top": ("top", ("files", "search", "duplicates")),
        "--html": ("html", ("files", "search", "duplicates")),
    }
    for flag, (name, modes) in belongs.items():
        if getattr(arguments, name) is not None and mode not in modes:
            raise UsageError(f"`{flag}` does not go with this question", where=flag)
    if mode == "evaluate" and arguments.format == "html":
        raise UsageError("the evaluation is text or JSON", where="--format")


def _least(min_score: float | None, fail_above: float | None) -> float:
    """The score that duplicates need: low enough for `--fail-above` to see what it is about."""
    if fail_above is None:
        return DUPLICATE_SCORE if min_score is None else min_score
    if min_score is None:
        return min(DUPLICATE_SCORE, fail_above)
    if fail_above < min_score:
        raise UsageError(
            f"`--fail-above {fail_above:g}` is about pairs that `--min-score {min_score:g}` hides",
            where="--fail-above",
        )
    return min_score
