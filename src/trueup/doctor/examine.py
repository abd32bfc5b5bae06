"""Runs every rule on the facts of one model and orders what they find. No input or output."""

from __future__ import annotations

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Stage
from trueup.doctor.rule import Facts
from trueup.doctor.rules import RULES
from trueup.environment.environment import Environment

# The order in which a model is brought up, and so the order in which its errors are met.
STAGES: tuple[Stage, ...] = (
    "config",
    "import",
    "tokenizer",
    "init",
    "load",
    "forward",
    "generate",
    "chat",
)


def examine(checkpoint: Checkpoint, environment: Environment) -> tuple[Finding, ...]:
    """What will break when `checkpoint` is loaded and run in `environment`, first things first.

    Within a stage the order is that of RULES; info comes last.
    """
    facts = Facts(checkpoint, environment)
    version = environment.transformers
    found = [finding for rule in RULES if rule.applies_to(version) for finding in rule.check(facts)]
    return tuple(
        sorted(found, key=lambda each: (each.severity == "info", STAGES.index(each.stage)))
    )
