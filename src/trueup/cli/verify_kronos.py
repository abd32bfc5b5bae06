"""`trueup verify MODEL --kronos-golden DIR`: the original's published outputs, bar for bar."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.errors import UsageError

if TYPE_CHECKING:
    from trueup.doctor.render.text import Line

FLAG = "--kronos-golden"
DTYPES = ("auto", "float32", "bfloat16")
# Of a proof against a reference, which this is not.
OTHERS = (
    "route", "kind", "pooling", "isolated_python", "reference_python", "record", "reference",
    "memory_gb", "seed",
)  # fmt: skip
CAUSE = "other weights than the published ones give other bars"


def run(arguments: argparse.Namespace, usual: Callable[[str], Any]) -> int:
    """Compare; 0 where every number is the original's within the tolerance, else 1.

    `usual` is the value that an option has where it is not given.

    Raises: UsageError for options that have no meaning here.
    """
    for name in OTHERS:
        if getattr(arguments, name) != usual(name):
            raise UsageError(
                f"`--{name.replace('_', '-')}` has no meaning beside `{FLAG}`, which compares with "
                "files",
                where=FLAG,
            )
    if arguments.dtype not in DTYPES:
        raise UsageError(
            f"Kronos runs in float32 and bfloat16, not in `{arguments.dtype}`", where="--dtype"
        )
    from trueup.cli.downloading import DownloadLine
    from trueup.cli.similar_progress import ProgressLine
    from trueup.doctor.render.text import print_lines
    from trueup.kronos.golden import MAX_CONTEXT, compare, read_golden, report
    from trueup.kronos.loading import load_forecaster

    directory: Path = arguments.kronos_golden.expanduser()
    golden = read_golden(directory)
    forecaster = load_forecaster(
        arguments.model,
        tokenizer=arguments.tokenizer,
        context=MAX_CONTEXT,
        revision=arguments.revision,
        # Only the processor gives the published numbers to the last bit; a GPU where it is named.
        device="cpu" if arguments.device == "auto" else arguments.device,
        dtype=arguments.dtype,
        progress=DownloadLine(),
    )
    line = ProgressLine()
    try:
        cases = compare(golden, forecaster, line.show)
    finally:
        line.clear()
    model = {"source": arguments.model, "revision": arguments.revision}
    shape = report(cases, forecaster, directory=directory, model=model)
    if arguments.format == "json":
        print(json.dumps(shape, indent=2, ensure_ascii=False))
    else:
        print_lines(_lines(shape))
    return int(shape["verdict"] != "confirmed")


def _lines(shape: Mapping[str, Any]) -> Iterator[Line]:
    from trueup.doctor.render.text import INDENT, Line, printable

    is_equal = shape["verdict"] == "confirmed"
    yield Line(
        f"{printable(shape['model']['source'])}: {shape['dtype']} on {shape['device']}, against "
        f"the outputs in {printable(shape['golden'])}",
        "title",
    )
    yield Line(shape["verdict"].upper(), "good" if is_equal else "error")
    for case in shape["cases"]:
        first = "" if case["first"] is None else f", from bar {case['first']} on"
        yield Line(
            f"{INDENT}{case['lookback']} -> {case['horizon']} bars: {case['verdict']}{first}; at "
            f"most {case['worst']:.1e} apart (`{case['column']}` of bar {case['step']}), "
            f"{case['seconds']:.2f} s"
        )
    yield Line(f"{INDENT}tolerance: {shape['relative_tolerance']:.0e} of each number", "dim")
    if not is_equal:
        yield Line(f"{INDENT}{CAUSE}: the files are of NeoQuasar/Kronos-small in float32", "dim")
