"""`trueup similar --evaluate`: how well a model tells code that is alike from code that is not."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli.waiting import ERASE_LINE
from trueup.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from trueup.similarity.embedder import Embedder
    from trueup.similarity.pair import PairSet

FORMATS = ("auto", "pairs", "bigclonebench", "poj104")
LEAST_LIMIT, MOST_FOLDS = 4, 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `--evaluate` takes beside what `trueup similar` takes anyway."""
    group = parser.add_argument_group("with --evaluate")
    group.add_argument(
        "--pairs-format",
        choices=FORMATS,
        default="auto",
        help="what the labelled pairs are in (default: found out)",
    )
    group.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="draw at most N pairs (default: all; 2000 of BigCloneBench and POJ-104)",
    )
    group.add_argument(
        "--folds", type=int, metavar="N", help="of the cross-validation (default: 5)"
    )
    group.add_argument("--seed", type=int, default=0, help="of every draw (default: 0)")
    group.add_argument(
        "--min-accuracy", type=float, metavar="SHARE", help="exit 1 below this accuracy: 0.85"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 1 where the accuracy is below `--min-accuracy`, else 0."""
    _check(arguments)
    _require_packages()
    from trueup.similarity.clone_formats import load_pairs

    pairs = load_pairs(
        Path(arguments.evaluate),
        form=arguments.pairs_format,
        limit=arguments.limit,
        seed=arguments.seed,
    )
    report = asyncio.run(_evaluated(arguments, pairs))
    goal = arguments.min_accuracy
    is_met = goal is None or report["measures"]["accuracy"]["value"] >= goal
    report["goal"] = None if goal is None else {"min_accuracy": goal, "is_met": is_met}
    if arguments.format == "json":
        print(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        from trueup.cli.similar_evaluate_text import report_lines
        from trueup.doctor.render.text import print_lines

        print_lines(report_lines(report))
    return 0 if is_met else 1


def open_embedder(arguments: argparse.Namespace) -> AbstractAsyncContextManager[Embedder]:
    """The embedder of the model that the command line names."""
    from trueup.cli.embedding_client import embedder_of

    return embedder_of(arguments)


async def _evaluated(arguments: argparse.Namespace, pairs: PairSet) -> dict[str, Any]:
    from trueup.similarity.evaluate import evaluate
    from trueup.similarity.split import split_pairs

    # Before a model is loaded for nothing.
    split = split_pairs(pairs.pairs, folds=arguments.folds, seed=arguments.seed)
    async with open_embedder(arguments) as embedder:
        with _progress() as progress:
            report = await evaluate(pairs, split, embedder, progress=progress)
    return {
        "schema_version": report.pop("schema_version"),
        "kind": report.pop("kind"),
        "model": arguments.model,
        **report,
    }


def _check(arguments: argparse.Namespace) -> None:
    folds, most = arguments.folds, arguments.limit
    goal, seed = arguments.min_accuracy, arguments.seed
    if folds is not None and not 2 <= folds <= MOST_FOLDS:
        raise UsageError(f"`{folds}` folds, expected 2 to {MOST_FOLDS}", where="--folds")
    if most is not None and most < LEAST_LIMIT:
        raise UsageError(f"`{most}` pairs, expected at least {LEAST_LIMIT}", where="--limit")
    if goal is not None and not (math.isfinite(goal) and 0 <= goal <= 1):
        raise UsageError(
            f"the accuracy is `{goal:g}`, expected a share from 0 to 1", where="--min-accuracy"
        )
    if seed < 0:
        raise UsageError(f"the seed is `{seed}`, expected 0 or more", where="--seed")


def _require_packages() -> None:
    for package, module in (("numpy", "numpy"), ("scikit-learn", "sklearn")):
        if importlib.util.find_spec(module) is None:
            raise ConfigError(
                f"`{package}` is not installed, and the evaluation needs it",
                where="the packages of this Python environment",
                hint="pip install 'trueup[similar]'",
            )


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """Shows on a terminal how far embedding is, until it ends however it ends."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(done: int, count: int) -> None:
        text = f"(embedding: {done:,} of {count:,} snippets)"
        print(f"{ERASE_LINE}{text}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(ERASE_LINE, end="", file=sys.stderr, flush=True)
