"""`trueup check`: what will break in a model directory, or what a pasted error means."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from trueup.doctor.time_limit import CHECK_SECONDS, time_limit
from trueup.errors import UsageError

EXAMPLE = """  trueup check zai-org/chatglm2-6b
  trueup check Qwen/Qwen2-7B-Instruct@main
  trueup check demo --transformers 4.56.0
  trueup check ./model ./other --matrix
  trueup check ./model --python /envs/old/bin/python --format json
  trueup check ./Kronos-small --write-config
  trueup check --error "_pad() got an unexpected keyword argument 'padding_side'"
  python app.py 2>&1 | trueup check --error -"""

MIXES_OPTIONS = True
# What does nothing beside the option that it stands at.
IDLE = {
    "error": ("matrix", "versions", "works", "revision", "transformers", "python", "strict"),
    "write_config": (
        "matrix", "versions", "works", "revision", "transformers", "python", "strict",
    ),
    "matrix": ("works", "revision", "strict"),
    "versions": ("transformers",),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup check` takes."""
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="a directory, a hub id or `demo`; several for `--matrix`",
    )
    parser.add_argument(
        "--matrix", action="store_true", help="models against releases of transformers, in a table"
    )
    parser.add_argument("--versions", metavar="LIST", help="the releases of `--matrix`, by commas")
    parser.add_argument(
        "--works",
        action="store_true",
        help="say from which release of transformers to which it should work",
    )
    parser.add_argument("--revision", help="the branch, tag or commit of a hub id")
    judged = parser.add_mutually_exclusive_group()
    judged.add_argument(
        "--transformers", metavar="VERSION", help="judge by this version, installed or not"
    )
    judged.add_argument(
        "--python", type=Path, metavar="PATH", help="judge by this interpreter's packages"
    )
    parser.add_argument(
        "--error", metavar="TEXT", help="explain this error or traceback; `-` reads it from stdin"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit 1 for any error, avoided or not"
    )
    parser.add_argument(
        "--write-config",
        action="store_true",
        help="rebuild config.json from the weights' names and shapes; the old one is kept",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=CHECK_SECONDS,
        metavar="SECONDS",
        help="give up after this long (%(default)g)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 0 where a route remains or the error is known, else 1."""
    _refuse_idle(arguments)
    if arguments.error is not None:
        return _explain(arguments)
    if not arguments.models:
        raise UsageError(
            "no model was named",
            hint="trueup check MODEL, or `trueup check --error TEXT` for an error message",
        )
    if arguments.matrix:
        from trueup.cli import check_matrix

        return check_matrix.run(
            arguments.models,
            wanted=arguments.transformers if arguments.versions is None else arguments.versions,
            python=arguments.python,
            output=arguments.format,
            seconds=arguments.timeout,
        )
    if arguments.versions is not None:
        raise UsageError(
            "several releases are for `--matrix`", where="--versions", hint="add `--matrix`"
        )
    if len(arguments.models) > 1:
        verb = "`--write-config` rebuilds" if arguments.write_config else "a report is of"
        raise UsageError(
            f"{verb} one model, and several are for `--matrix`",
            where=arguments.models[1],
            hint="leave all but one of the models out, or add `--matrix`",
        )
    (model,) = arguments.models
    if arguments.write_config:
        from trueup.cli.write_config import run_write_config

        with time_limit(arguments.timeout, model):
            return run_write_config(model, arguments.format)
    from trueup.cli.report import model_report, strict_line

    with time_limit(arguments.timeout, model):
        report, _ = model_report(
            "check",
            model,
            revision=arguments.revision,
            python=arguments.python,
            transformers=arguments.transformers,
        )
        if arguments.works:
            from trueup.cli.check_matrix import works_of

            report["works"] = works_of(model, arguments.revision, arguments.python)
    if arguments.format == "json":
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        from trueup.doctor.render.report_text import report_lines
        from trueup.doctor.render.text import print_lines

        print_lines(report_lines(report))
    strict = strict_line(report) if arguments.strict else None
    if strict is not None:
        print(strict, file=sys.stderr if arguments.format == "json" else sys.stdout)
    return int(report["plan"]["route"] == "refused" or strict is not None)


def _refuse_idle(arguments: argparse.Namespace) -> None:
    """Raise UsageError for options that do nothing with one that is there."""
    for name, idle in IDLE.items():
        if getattr(arguments, name) in (None, False):
            continue
        for other in idle:
            if getattr(arguments, other) not in (None, False):
                raise UsageError(
                    f"`--{other}` does nothing with `--{name.replace('_', '-')}`",
                    where=f"--{other}",
                    hint="name it as MODEL@REVISION"
                    if (name, other) == ("matrix", "revision")
                    else "leave one of the two out",
                )


def _explain(arguments: argparse.Namespace) -> int:
    from trueup.doctor.catalogue import report

    if arguments.write_config:
        raise UsageError("`--write-config` is for a model, not for an error", where="--error")
    if arguments.models:
        raise UsageError(
            f"`--error` explains a text and `{arguments.models[0]}` names a model: give one of "
            "them",
            where="--error",
        )
    text = arguments.error
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    if not text.strip():
        raise UsageError("there is no error to explain: the text is empty", where="--error")
    answer = report(text)
    if arguments.format == "json":
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        from trueup.doctor.render.text import error_lines, print_lines

        print_lines(error_lines(answer))
    return 0 if answer["matches"] else 1
