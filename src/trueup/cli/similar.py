"""`trueup similar`: how alike two files are, what is like a snippet, what is there twice."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli import similar_evaluate
from trueup.cli.private_server import PrivateServerEnded
from trueup.cli.similar_arguments import Wish, add_arguments, wish_of
from trueup.cli.similar_progress import ProgressLine
from trueup.errors import ConfigError

if TYPE_CHECKING:
    from trueup.similarity.embedder import Embedder
    from trueup.similarity.query import Query
    from trueup.similarity.store import Store

EXAMPLE = """  trueup similar old.py new.py
  trueup similar parser.py --in src --top 5
  git show HEAD~9:parser.py | trueup similar - --in src --language python
  trueup similar --duplicates src --min-score 0.97 --html duplicates.html
  trueup similar --evaluate pairs.jsonl"""
FAILED, INTERRUPTED = 1, 130
MIXES_OPTIONS = True  # they may stand between two files
__all__ = ["EXAMPLE", "add_arguments", "run"]

# A report and the texts that it names, by their digests.
Answered = tuple[dict[str, Any], dict[str, str]]


def run(arguments: argparse.Namespace) -> int:
    """Print what is alike; 1 where `--fail-above` is reached, else 0."""
    wish = wish_of(arguments)
    if wish.mode == "evaluate":
        return similar_evaluate.run(arguments)
    from trueup.similarity.index import with_store
    from trueup.similarity.packages import require_packages

    require_packages()
    if wish.html is not None and not os.path.isdir(os.path.dirname(wish.html) or "."):
        raise _unwritten(wish.html, "the folder is not there")
    line = ProgressLine()
    try:
        work = _work(wish, line.show, partial(_open_below, line, arguments))
        report, texts = with_store(work, partial(_say_damaged, line))
    except PrivateServerEnded:  # and has said why
        return FAILED
    except KeyboardInterrupt:
        line.clear()
        print("interrupted: what was embedded is kept; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    finally:
        line.clear()
    _show(wish, report, texts)
    if wish.directory and not report["counts"]["snippets"]:
        print(
            f"note: there is no code below {wish.directory}: nothing was compared", file=sys.stderr
        )
        return FAILED if wish.fail_above is not None else 0
    best = report.get("best_score")
    return int(wish.fail_above is not None and best is not None and best >= wish.fail_above)


def open_embedder(arguments: argparse.Namespace) -> AbstractAsyncContextManager[Embedder]:
    """The embedder of the model that the command line names: a server's, running or private."""
    from trueup.cli.embedding_client import embedder_of

    return embedder_of(arguments)


def _open_below(
    line: ProgressLine, arguments: argparse.Namespace
) -> AbstractAsyncContextManager[Embedder]:
    line.clear()  # the client says on stderr whom it asks
    return open_embedder(arguments)


def _say_damaged(line: ProgressLine, cause: str) -> None:
    line.clear()
    told = f"note: the index of code is damaged ({cause}): it is set aside and made anew"
    print(told, file=sys.stderr)


def _work(
    wish: Wish,
    progress: Callable[[str], None],
    open_one: Callable[[], AbstractAsyncContextManager[Embedder]],
) -> Callable[[Store], Answered]:
    """What is to be done with the index, everything that needs no index done before."""
    from trueup.cli import similar_report as reports
    from trueup.similarity import comparison
    from trueup.similarity.index import root_path
    from trueup.similarity.query import read_query

    if wish.mode == "files":
        first, second = (read_query(path) for path in wish.paths)

        def compare(store: Store) -> Answered:
            answer = comparison.compare_files(
                store, first, second, open_one, progress, top=wish.top, min_score=wish.min_score
            )
            report = reports.files_report(answer, wish.model, first, second, wish.min_score)
            return report, answer.texts

        return compare
    root = root_path(_directory(wish.directory))
    if wish.mode == "search":
        query = _query(wish)

        def search(store: Store) -> Answered:
            answer = comparison.search_directory(
                store, query, root, open_one, progress, top=wish.top, min_score=wish.min_score
            )
            report = reports.search_report(
                answer, wish.model, wish.directory, query, wish.min_score
            )
            return report, answer.texts

        return search
    least = wish.min_score or 0.0

    def find(store: Store) -> Answered:
        answer, found = comparison.duplicates_below(
            store, root, open_one, progress, top=wish.top, min_score=least
        )
        report = reports.duplicates_report(answer, found, wish.model, wish.directory, least)
        return report, answer.texts

    return find


def _query(wish: Wish) -> Query:
    from trueup.similarity.files import decode_source
    from trueup.similarity.query import query_of, read_query

    (path,) = wish.paths
    if path != "-":
        return read_query(path, wish.language)
    data = sys.stdin.buffer.read() if sys.stdin is not None else b""
    return query_of(decode_source(data), "(stdin)", None, wish.language)


def _directory(path: str) -> Path:
    if not os.path.exists(path):
        raise ConfigError("there is no such directory", where=path)
    if not os.path.isdir(path):
        raise ConfigError("it is a file, expected a directory", where=path)
    return Path(path)


def _show(wish: Wish, report: dict[str, Any], texts: dict[str, str]) -> None:
    from trueup.cli.similar_text import note_lines, report_lines, summary_line

    for told in note_lines(report["notes"]):
        print(told, file=sys.stderr)
    if wish.format == "json":
        print(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False))
    elif wish.format == "html":
        from trueup.cli.similar_html import page

        for part in page(report, texts):
            print(part, end="")
    else:
        for text in report_lines(report):
            print(text)
    print(summary_line(report), file=sys.stderr)
    if wish.html is not None:
        _write_page(wish.html, report, texts)
        print(f"(the page is {wish.html})", file=sys.stderr)


def _write_page(path: str, report: dict[str, Any], texts: dict[str, str]) -> None:
    from trueup.cli.similar_html import page

    try:
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(page(report, texts))
    except OSError as error:
        raise _unwritten(path, error.strerror or str(error)) from error


def _unwritten(path: str, reason: str) -> ConfigError:
    return ConfigError(
        f"the page cannot be written: {reason}",
        where=path,
        hint="name another file: --html FILE",
    )
