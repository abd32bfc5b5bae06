"""The command lines that a report tells its reader to go on with."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping

from trueup.doctor.render.text import printable

WISHED = (
    "--revision",
    "--route",
    "--dtype",
    "--device",
    "--kind",
    "--pooling",
    "--tokenizer",
    "--isolated-python",
)
# What a verb takes of the options that make a plan. `embed` asks for its route and kind itself.
TAKEN: Mapping[str, Collection[str]] = {
    "trust": ("--revision",),
    "embed": ("--revision", "--dtype", "--device", "--pooling"),
    "chat": ("--revision", "--route", "--dtype", "--device", "--isolated-python"),
    "verify": (*(each for each in WISHED if each != "--tokenizer"), "--memory-gb"),
    "serve": WISHED,
    "plan": (*WISHED, "--transformers", "--python"),
}


def command(verb: str, source: str, options: Mapping[str, str]) -> str:
    """`trueup VERB SOURCE` with those of the options that the verb takes."""
    taken = [word for each in options.items() if each[0] in TAKEN[verb] for word in each]
    return printable(shlex.join(["trueup", verb, source, *taken]))
