"""`trueup plan`: how a model would be run and why, and its export as a standard checkpoint."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.wishes import DTYPES, KINDS, POOLINGS, ROUTES, Wishes
from trueup.cli import words
from trueup.doctor.time_limit import CHECK_SECONDS, time_limit
from trueup.errors import AdaptError, UsageError

if TYPE_CHECKING:
    from trueup.adapt.plan import Plan

EXAMPLE = """  trueup plan zai-org/chatglm2-6b
  trueup plan ./model --dtype float32 --device cpu --format json
  trueup plan demo --transformers 4.56.0
  trueup plan ./chatglm3-6b --export-native ./chatglm3-6b-native
  trueup plan ./chatglm-6b --export-fixed ./chatglm-6b-code"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup plan` takes."""
    parser.add_argument("model", metavar="MODEL", help="a directory, a hub id or `demo`")
    parser.add_argument("--revision", help="the branch, tag or commit of a hub id")
    parser.add_argument("--route", default="auto", choices=ROUTES, help="default: auto")
    parser.add_argument("--dtype", default="auto", choices=DTYPES, help="default: auto")
    parser.add_argument(
        "--device",
        default="auto",
        type=words.device,
        help="auto, cpu, cuda or cuda:N (default: auto)",
    )
    parser.add_argument("--kind", default="auto", choices=KINDS, help="default: auto")
    parser.add_argument(
        "--pooling", default="auto", choices=POOLINGS, help="of an embedding model (default: auto)"
    )
    parser.add_argument(
        "--tokenizer", metavar="DIR", help="of a forecasting model: a directory or hub id"
    )
    parser.add_argument(
        "--isolated-python",
        metavar="PATH",
        help="an environment of yours for the route isolated, instead of one that is built",
    )
    judged = parser.add_mutually_exclusive_group()
    judged.add_argument(
        "--transformers", metavar="VERSION", help="plan for this version, installed or not"
    )
    judged.add_argument(
        "--python", type=Path, metavar="PATH", help="plan for this interpreter's packages"
    )
    exported = parser.add_mutually_exclusive_group()
    exported.add_argument(
        "--export-native",
        type=Path,
        metavar="DIR",
        help="write a checkpoint that plain transformers loads, in the file's dtype or --dtype",
    )
    exported.add_argument(
        "--export-fixed",
        type=Path,
        metavar="DIR",
        help="write the model's own Python files with the named fixes, a diff and their hashes",
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 for any error finding")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan and carry out an export; 0 where a route remains, else 1."""
    if arguments.export_native is not None and (arguments.transformers or arguments.python):
        raise UsageError(
            "an export is written by the running interpreter and its transformers",
            where="--export-native",
            hint="leave out --transformers and --python",
        )
    from trueup.cli.report import model_report, strict_line

    is_run = arguments.export_native is not None
    # What is run is downloaded whole, which may take as long as it takes.
    limit = contextlib.nullcontext() if is_run else time_limit(CHECK_SECONDS, arguments.model)
    with limit:
        report, plan = model_report(
            "plan",
            arguments.model,
            revision=arguments.revision,
            python=arguments.python,
            transformers=arguments.transformers,
            wishes=Wishes(
                route=_route(arguments),
                dtype=arguments.dtype,
                device=arguments.device,
                kind=arguments.kind,
                pooling=arguments.pooling,
                tokenizer=arguments.tokenizer,
                python=arguments.isolated_python,
            ),
            is_run=is_run,
        )
    shown = report
    if arguments.format == "text":
        from trueup.cli.plan_text import plan_lines
        from trueup.doctor.render.text import print_lines

        print_lines(plan_lines(report))
    try:
        if arguments.export_native is not None:
            _check_route(plan, "native", arguments)
            written = _export(plan, arguments.export_native, arguments.dtype)
            shown = {**report, "export": written}
        elif arguments.export_fixed is not None:
            _check_route(plan, "fixed", arguments)
            shown = {**report, "export": _export_fixed(plan, report, arguments.export_fixed)}
    finally:  # a failed export leaves the plan worth reading
        if arguments.format == "json":
            print(json.dumps(shown, indent=2, ensure_ascii=False))
    strict = strict_line(report) if arguments.strict else None
    if strict is not None:
        print(strict, file=sys.stderr if arguments.format == "json" else sys.stdout)
    return int(plan.route == "refused" or strict is not None)


def _check_route(plan: Plan, expected: str, arguments: argparse.Namespace) -> None:
    """Refuse to export what another route runs, or none."""
    if plan.route == expected:
        return
    runs = plan.other_route if plan.route == "refused" else plan.route
    hint = None
    if arguments.transformers or arguments.python:
        hint = "leave out --transformers and --python: plan for the running interpreter"
    elif runs in ("native", "fixed"):
        hint = f"--export-{runs} DIR: the route `{runs}` runs this model"
    raise AdaptError(
        f"nothing was exported: the plan's route is `{plan.route}`, expected `{expected}`",
        where=plan.model.directory,
        hint=hint,
    )


def _export(plan: Plan, directory: Path, dtype: str) -> dict[str, str]:
    """Write the checkpoint; returns where it is and the dtype that its weights have."""
    from trueup.adapt.load_export import export_native

    export_native(plan, directory, dtype=dtype)
    config = json.loads((directory.expanduser() / "config.json").read_text(encoding="utf-8"))
    print(f"exported: {directory}, weights in {config['dtype']}", file=sys.stderr)
    return {"directory": str(directory.expanduser().resolve()), "dtype": config["dtype"]}


def _route(arguments: argparse.Namespace) -> str:
    """The route that was asked for; an export of repaired code is one of the fixed route."""
    is_open = arguments.route == "auto" and arguments.export_fixed is not None
    return "fixed" if is_open else str(arguments.route)


def _export_fixed(plan: Plan, report: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Write the repaired code; returns where it is and what was written."""
    from packaging.version import Version

    from trueup.adapt.fixes.export import export_fixed
    from trueup.adapt.planned_files import checkpoint_of

    version = Version(report["environment"]["transformers"] or "0")
    manifest = export_fixed(plan, checkpoint_of(plan), version, directory)
    changed = sum(each["is_changed"] for each in manifest["files"])
    print(f"exported: {directory}, {changed} files repaired; see fixes.diff", file=sys.stderr)
    return {"directory": str(directory.expanduser().resolve()), **manifest}
