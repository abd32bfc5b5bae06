"""`trueup verify`: whether what would be served is the model that was published."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.wishes import DTYPES, KINDS, POOLINGS, ROUTES, Wishes
from trueup.cli import words
from trueup.cli.similar_progress import ProgressLine
from trueup.errors import UsageError

if TYPE_CHECKING:
    from trueup.adapt.planning import PlannedFacts
    from trueup.proof.proving import Proved, Wanted

EXAMPLE = """  trueup verify zai-org/chatglm2-6b
  trueup verify demo --reference-python /envs/transformers-4.41/bin/python
  trueup verify ./model --dtype bfloat16 --format json
  trueup verify ./model --memory-gb 4
  trueup verify ./model --record golden.npz       # on another machine
  trueup verify ./model --reference golden.npz    # here
  trueup verify kronos-small --kronos-golden DIR  # the original's published outputs"""
GIGABYTE = 10**9
SCHEMA_VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup verify` takes."""
    parser.add_argument("model", metavar="MODEL", help="a directory, a hub id or `demo`")
    parser.add_argument("--revision", help="the branch, tag or commit of a hub id")
    parser.add_argument("--route", default="auto", choices=ROUTES, help="default: auto")
    parser.add_argument("--dtype", default="auto", choices=DTYPES, help="default: auto")
    parser.add_argument(
        "--device", default="auto", type=words.device, help="auto, cpu, cuda or cuda:N"
    )
    parser.add_argument("--kind", default="auto", choices=KINDS, help="default: auto")
    parser.add_argument(
        "--pooling", default="auto", choices=POOLINGS, help="of an embedding model (default: auto)"
    )
    parser.add_argument(
        "--isolated-python", metavar="PATH", help="an environment of yours for the route isolated"
    )
    parser.add_argument(
        "--reference-python",
        type=Path,
        metavar="PATH",
        help="the interpreter that the reference runs in (default: one that `trueup env` built)",
    )
    files = parser.add_mutually_exclusive_group()
    files.add_argument(
        "--record", type=Path, metavar="FILE", help="write the reference's answers, for elsewhere"
    )
    files.add_argument(
        "--reference", type=Path, metavar="FILE", help="compare with answers recorded elsewhere"
    )
    files.add_argument(
        "--kronos-golden",
        type=Path,
        metavar="DIR",
        help="compare Kronos-small with the outputs of the public repository's regression test",
    )
    parser.add_argument(
        "--tokenizer",
        metavar="MODEL",
        help="with --kronos-golden: a directory or hub id (default: the one that goes with MODEL)",
    )
    parser.add_argument(
        "--memory-gb",
        type=float,
        metavar="N",
        help="what one side may hold; a larger model is gone through layer by layer "
        "(default: most of what is free)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the prompts (default: 0)")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Prove the plan or record golden answers; 0 where it is proven or recorded, else 1."""
    if arguments.kronos_golden is not None:
        from trueup.cli import verify_kronos

        return verify_kronos.run(arguments, _usual)
    if arguments.tokenizer is not None:
        raise UsageError("only `--kronos-golden` takes a tokenizer", where="--tokenizer")
    if arguments.memory_gb is not None and not arguments.memory_gb > 0:
        raise UsageError(f"`{arguments.memory_gb:g}` GB, expected more than 0", where="--memory-gb")
    from trueup.adapt.planning import plan_with_facts
    from trueup.cli.downloading import DownloadLine
    from trueup.cli.verify_options import check_options, check_wishes
    from trueup.proof.proving import Wanted

    python = check_options(arguments)
    wishes = Wishes(
        route=arguments.route,
        dtype=arguments.dtype,
        device=arguments.device,
        kind=arguments.kind,
        pooling=arguments.pooling,
        python=arguments.isolated_python,
    )
    facts = plan_with_facts(
        arguments.model, wishes, revision=arguments.revision, watch=DownloadLine(), is_run=True
    )
    check_wishes(facts, wishes, arguments.revision)
    bound = arguments.memory_gb
    wanted = Wanted(
        seed=arguments.seed,
        reference_python=python,
        reference_file=arguments.reference,
        memory_bytes=None if bound is None else int(bound * GIGABYTE),
    )
    line = ProgressLine()
    teller = _Teller(line)
    try:
        if arguments.record is not None:
            return _record(facts, wanted, arguments, teller)
        from trueup.proof.proving import prove

        proved = prove(facts, wanted, teller.say)
    finally:
        line.clear()
    _show(proved, arguments.format)
    if proved.fault is not None:
        raise proved.fault
    return int(proved.outcome.verdict != "proven")


def _usual(option: str) -> Any:
    """What an option is where it is not given."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.get_default(option)


class _Teller:
    """Progress on stderr: a line that moves on a terminal, else one line for each side."""

    def __init__(self, line: ProgressLine) -> None:
        self._line = line
        self._side = ""

    def say(self, text: str) -> None:
        if self._line.is_seen:
            self._line.show(text)
        elif (side := text.partition(":")[0]) != self._side:
            self._side = side
            print(side, file=sys.stderr, flush=True)


def _record(
    facts: PlannedFacts, wanted: Wanted, arguments: argparse.Namespace, teller: _Teller
) -> int:
    from trueup.proof.proving import record_golden

    digest = record_golden(facts, wanted, arguments.record, teller.say)
    path = str(arguments.record.expanduser().resolve())
    if arguments.format == "json":
        shape = {"schema_version": SCHEMA_VERSION, "kind": "golden answers"}
        print(json.dumps({**shape, "path": path, "digest": digest}, indent=2))
    else:
        print(f"recorded: {path}\n{digest}")
    return 0


def _show(proved: Proved, form: str) -> None:
    if form == "json":
        shape = {**proved.shape, "record": None if proved.record is None else str(proved.record)}
        print(json.dumps(shape, indent=2, ensure_ascii=False))
        return
    from trueup.cli.verify_text import proof_lines
    from trueup.doctor.render.text import print_lines

    print_lines(proof_lines(proved.shape, proved.record))
