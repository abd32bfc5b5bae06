"""What `trueup suite` takes, and what of it cannot be meant."""

from __future__ import annotations

import argparse
from pathlib import Path

from trueup.adapt.wishes import DTYPES, ROUTES
from trueup.cli import words
from trueup.cli.suite_reports import FORMATS, SUFFIXES
from trueup.config.settings import ModelSettings
from trueup.errors import UsageError
from trueup.suite.criteria import MAX_TOKENS, Wanted

EXAMPLE = """  trueup suite --config trueup.yaml
  trueup suite --config trueup.yaml --static --format github
  trueup suite ./chatglm2-6b ./codebert --report suite.html --report junit.xml
  trueup suite demo --prompts prompts.yaml --only prompts --baseline last.json
  trueup suite --url http://127.0.0.1:8484 --report last.json"""
KINDS = ("chat", "completion", "embedding", "forecast")
WISHES = ("revision", "route", "dtype", "device", "kind")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup suite` takes."""
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="directories, hub ids, or names of the configuration (default: all of it, else demo)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="models, backends, roles and their acceptance"
    )
    parser.add_argument(
        "--url", type=words.url, help="test the server that runs there: http://127.0.0.1:8484"
    )
    parser.add_argument(
        "--static", action="store_true", dest="is_static", help="stop before anything is loaded"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="cases whose id fits, such as '*/load' or `answer`, and what they need; again for "
        "more",
    )
    parser.add_argument(
        "--skip", action="append", default=[], metavar="PATTERN", help="all but these cases"
    )
    parser.add_argument(
        "--prompts",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="prompts with what the answers must contain, for everything that gives text",
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE",
        help="labelled pairs for the similarity (default: pairs of TrueUp's own)",
    )
    parser.add_argument(
        "--compare",
        action="append",
        nargs=2,
        default=[],
        metavar=("ONE", "OTHER"),
        help="compare two of the names on the same prompts or pairs",
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=MAX_TOKENS,
        metavar="N",
        help=f"the longest answer, in tokens (default: {MAX_TOKENS})",
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="say what changed since this JSON report"
    )
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        type=Path,
        dest="reports",
        metavar="FILE",
        help=f"write the report too, by its ending: {' '.join(SUFFIXES)}; again for more",
    )
    parser.add_argument("--transformers", metavar="VERSION", help="with --static: by this version")
    parser.add_argument("--revision", help="of a single MODEL: commit, tag or branch of its hub id")
    parser.add_argument("--route", choices=ROUTES, help="of the MODELs (default: auto)")
    parser.add_argument("--dtype", choices=DTYPES, help="of the MODELs (default: auto)")
    parser.add_argument("--device", type=words.device, help="of the MODELs (default: auto)")
    parser.add_argument("--kind", choices=KINDS, help="of the MODELs (default: theirs)")
    parser.add_argument("--format", choices=FORMATS, default="text")


def check_arguments(arguments: argparse.Namespace) -> None:
    """See that the arguments go together.

    Raises: UsageError where they do not.
    """
    if arguments.transformers is not None and not arguments.is_static:
        raise UsageError(
            "the models of a suite run on the installed transformers, or in the environment of "
            f"their isolated route, and on {arguments.transformers} by no other way",
            where="--transformers",
            hint="add --static: the checks go by that version without it",
        )
    if arguments.url is not None:
        for name in ("is_static", "revision", "route", "dtype", "device"):
            if getattr(arguments, name):
                flag = f"--{name.removeprefix('is_')}"
                raise UsageError(
                    f"`{flag}` is of models that are run here, and `--url` names a server",
                    where=flag,
                    hint="leave one of them out",
                )
    if arguments.revision is not None and len(arguments.models) != 1:
        raise UsageError(
            f"a revision and {len(arguments.models)} MODELs, expected 1 MODEL",
            where="--revision",
            hint="give each model its `revision` in a file: trueup suite --config FILE",
        )
    if arguments.max_tokens < 1:
        raise UsageError(
            f"`{arguments.max_tokens}` tokens, expected 1 or more", where="--max-tokens"
        )


def wanted_of(arguments: argparse.Namespace) -> Wanted:
    """What is asked for beside the configuration."""
    return Wanted(
        prompts=tuple(arguments.prompts),
        pairs=arguments.pairs,
        max_tokens=arguments.max_tokens,
        compared=tuple((one, other) for one, other in arguments.compare),
    )


def model_settings(arguments: argparse.Namespace) -> ModelSettings:
    """How a MODEL that is no name is run; its source is still to be set."""
    wishes = {name: value for name in WISHES if (value := getattr(arguments, name)) is not None}
    return ModelSettings(name=None, source="", **wishes)
