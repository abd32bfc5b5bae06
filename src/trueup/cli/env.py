"""`trueup env`: environments for models that run on other releases than the installed ones."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.doctor.time_limit import CHECK_SECONDS, time_limit
from trueup.errors import AdaptError, CheckpointError, ConfigError, UsageError

if TYPE_CHECKING:
    from trueup.adapt.isolate.planned import PlannedEnvironment
    from trueup.adapt.isolate.store import Built

SCHEMA_VERSION = 1
EXAMPLE = """  trueup env build THUDM/chatglm-6b
  trueup env build ./model --wheelhouse ./wheels
  trueup env list
  trueup env show ./model
  trueup env prune --unused 30"""
DAY_SECONDS = 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup env` takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str, example: str) -> argparse.ArgumentParser:
        made = actions.add_parser(
            name,
            help=text,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"example:\n  trueup env {name}{example and f' {example}'}",
        )
        made.add_argument("--format", choices=("text", "json"), default="text")
        return made

    build = action("build", "build the environment that a model's own code needs", "./model")
    build.add_argument("model", metavar="MODEL", help="a directory, a hub id or `demo`")
    build.add_argument(
        "--wheelhouse",
        type=Path,
        metavar="DIR",
        help="take packages from this folder of wheels, and ask no network",
    )
    build.add_argument(
        "--update", action="store_true", help="resolve anew what is locked: newer packages"
    )
    action("list", "show the environments that are built", "")
    show = action("show", "show one environment: what it has, or would have", "./model")
    show.add_argument("model", metavar="MODEL|LOCK", help="a model, or the beginning of a lock")
    for each in (build, show):
        each.add_argument("--revision", help="the branch, tag or commit of a hub id")
        each.add_argument(
            "--transformers", metavar="VERSION", help="this release, not the best one"
        )
        each.add_argument(
            "--python", type=Path, metavar="PATH", help="this interpreter, not the best one"
        )
    prune = action(
        "prune", "delete what builds left behind, and environments that are named", "--unused 30"
    )
    prune.add_argument("locks", nargs="*", metavar="LOCK", help="the beginning of a lock")
    prune.add_argument(
        "--unused", type=_days, metavar="DAYS", help="those that were not used for so many days"
    )
    prune.add_argument("--all", action="store_true", help="every environment and lock")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be deleted")


def run(arguments: argparse.Namespace) -> int:
    """Carry out one action; 1 where there is no environment, or it cannot be used."""
    return {"build": _build, "list": _list, "show": _show, "prune": _prune}[arguments.action](
        arguments
    )


def _build(arguments: argparse.Namespace) -> int:
    from trueup.adapt.isolate.build import build_environment
    from trueup.cli.env_text import built_lines, size

    wheelhouse = None if arguments.wheelhouse is None else _folder(arguments.wheelhouse)
    planned = _planned(arguments)
    if not planned.is_built:
        _say(
            f"{planned.why[0]}: Python {planned.interpreter.version}, about "
            f"{size(planned.download_bytes)} to download, {size(planned.disk_bytes)} on the disk"
        )
    began = time.monotonic()
    built = build_environment(
        planned, tell=_say, wheelhouse=wheelhouse, resolves_anew=arguments.update
    )
    seconds = round(time.monotonic() - began, 1)
    if arguments.format == "json":
        shape = {"kind": "environment", "was_there": not built.is_new, "seconds": seconds}
        _print_json({**shape, "environment": _shape(built)})
    else:
        _print(built_lines(built, seconds=seconds if built.is_new else None))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from trueup.adapt.isolate.store import every_environment
    from trueup.cli.env_text import table

    found = every_environment()
    if arguments.format == "json":
        _print_json({"kind": "environments", "environments": [_shape(built) for built in found]})
    elif found:
        _print(table(found))
    else:
        _say("no environment is built; `trueup env build MODEL` builds one")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from trueup.cli.env_text import built_lines, planned_lines

    by_lock = [] if _is_model(arguments.model) else _named([arguments.model])
    built: Built | None
    if by_lock:
        for flag in ("revision", "transformers", "python"):
            if getattr(arguments, flag) is not None:
                raise UsageError(
                    f"`--{flag}` is for a model, and `{arguments.model}` is a lock",
                    where=f"--{flag}",
                )
        built, planned = by_lock[0], None
    else:
        planned = _planned_or_no_lock(arguments)
        built = planned.built
    if arguments.format == "json":
        shape = None if planned is None else {**planned.as_dict(), "why": list(planned.why)}
        environment = None if built is None else _shape(built)
        _print_json({"kind": "environment", "plan": shape, "environment": environment})
    elif built is not None:
        _print(built_lines(built, has_packages=True))
    elif planned is not None:
        _print(planned_lines(planned))
    return int(built is None or built.fault is not None)


def _prune(arguments: argparse.Namespace) -> int:
    from trueup.adapt.isolate.prune import prune
    from trueup.cli.env_text import pruned_lines, size

    chosen = [bool(arguments.locks), arguments.unused is not None, arguments.all]
    if sum(chosen) > 1:
        raise UsageError(
            "`--all`, `--unused` and LOCK exclude each other", where="trueup env prune"
        )
    named = _named(arguments.locks, is_required=True) if arguments.locks else []
    before = None if arguments.unused is None else time.time() - arguments.unused * DAY_SECONDS
    done = prune(
        named=[built.digest for built in named],
        unused_since=before,
        takes_all=arguments.all,
        is_dry=arguments.dry_run,
        tell=lambda path, held: _say(f"deleting {path}, {size(held)}"),
    )
    if arguments.format == "json":
        _print_json({"kind": "pruned", "is_dry_run": arguments.dry_run, **done.as_dict()})
    else:
        _print(pruned_lines(done, is_dry=arguments.dry_run))
    return int(bool(named) and bool(done.in_use))


def _planned(arguments: argparse.Namespace) -> PlannedEnvironment:
    """The environment that is meant. Raises: AdaptError where there is none for the model."""
    from packaging.version import InvalidVersion, Version

    from trueup.adapt.isolate.interpreters import interpreter_at
    from trueup.adapt.isolate.planned import planned_environment, unknown_release
    from trueup.checkpoint.files import read_checkpoint
    from trueup.checkpoint.source import resolve
    from trueup.environment.packages import read_environment

    if arguments.transformers is not None:
        try:
            unknown = unknown_release(Version(arguments.transformers))
        except InvalidVersion:
            unknown = f"`{arguments.transformers[:40]}` is not a version"
        if unknown is not None:
            raise UsageError(unknown, where="--transformers")
    python = None if arguments.python is None else interpreter_at(arguments.python)
    environment = read_environment()
    with time_limit(CHECK_SECONDS, arguments.model):
        checkpoint = read_checkpoint(resolve(arguments.model, revision=arguments.revision))
        planned = planned_environment(
            checkpoint, environment, transformers=arguments.transformers, python=python
        )
    if isinstance(planned, str):
        raise AdaptError(
            planned, where=arguments.model, hint=shlex.join(["trueup", "check", arguments.model])
        )
    is_wished = arguments.transformers is not None or python is not None
    here = environment.packages.get("transformers")
    if not is_wished and not checkpoint.auto_map and planned.request.transformers == here:
        raise AdaptError(
            "the model needs no environment: it brings no code of its own, and transformers "
            f"{here} is installed",
            where=arguments.model,
            hint=f"--transformers {here} builds one nevertheless",
        )
    return planned


def _planned_or_no_lock(arguments: argparse.Namespace) -> PlannedEnvironment:
    """What is planned for a word that is no lock. Raises: ConfigError for what is no model."""
    try:
        return _planned(arguments)
    except CheckpointError as error:
        if _is_model(arguments.model):
            raise
        raise ConfigError(
            f"no lock begins with `{arguments.model[:80]}`, and as a model: {error.cause}",
            hint="trueup env list",
        ) from error


def _named(words: Sequence[str], *, is_required: bool = False) -> list[Built]:
    """The environments whose locks begin so. Raises: ConfigError for one that is none, or two."""
    from trueup.adapt.isolate.store import PREFIX, every_environment

    every = every_environment()
    found: list[Built] = []
    for word in words:
        start = word.removeprefix(PREFIX).lower()
        meant = [each for each in every if len(start) >= 4 and each.folder.name.startswith(start)]
        if len(meant) > 1 or (not meant and is_required):
            count = "several locks begin" if meant else "no lock begins"
            raise ConfigError(f"{count} with `{word[:80]}`", hint="trueup env list")
        found += meant
    return found


def _is_model(word: str) -> bool:
    return "/" in word or Path(word).exists()


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"`{path}` is no folder", where="--wheelhouse")
    return path.resolve()


def _shape(built: Built) -> Mapping[str, Any]:
    """An environment in its JSON shape."""
    request = built.lock.request
    return {
        "lock": built.digest,
        "interpreter": str(built.interpreter),
        "base": built.base,
        "python": request.python,
        "transformers": request.transformers,
        "torch": request.torch,
        "shares_torch": request.shares_torch,
        "packages": built.lock.versions,
        "download_bytes": built.lock.download_bytes,
        "disk_bytes": built.disk_bytes,
        "built_at": built.built_at,
        "used_at": built.used_at,
        "fault": built.fault,
    }


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < 100_000:
        raise argparse.ArgumentTypeError(f"`{text}` is no number of days: expected 0 or more")
    return days


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)


def _print_json(shape: Mapping[str, Any]) -> None:
    print(json.dumps({"schema_version": SCHEMA_VERSION, **shape}, indent=2, ensure_ascii=False))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
