"""Runs every rule on the facts of one model and orders what they find. No input or output."""

from __future__ import annotations

from dataclasses import replace

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Stage
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules import RULES
from trueup.doctor.rules.unfinished import RuleFailed
from trueup.doctor.rules.walked import walked_findings
from trueup.environment.environment import Environment
from trueup.errors import TrueUpError

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


# What the files alone show of code that cannot be imported: absent, no Python, Python 2, a circle.
OF_FILES = frozenset({"DIR112", "DIR113", "DIR118", "DIR119"})
# How importing such code fails.
IMPORT_ERRORS = frozenset({"SyntaxError", "OSError", "FileNotFoundError", "ImportError"})


def _is_same(found: Finding, walked: Finding) -> bool:
    """Whether a finding about a file is the reason for a failure of the walk."""
    if found.code not in OF_FILES or walked.stage != "import" or walked.code == "IMP101":
        return False
    return found.exception is None and walked.exception in IMPORT_ERRORS


def _findings_of(rule: Rule, facts: Facts) -> list[Finding]:
    """What a rule finds; one that fails costs nothing of what the others find."""
    try:
        return list(rule.check(facts))
    except TrueUpError:  # the time is over, or the facts cannot be read
        raise
    except Exception as error:
        return [RuleFailed().of(rule, error)]


def examine(checkpoint: Checkpoint, environment: Environment) -> tuple[Finding, ...]:
    """What will break when `checkpoint` is loaded and run in `environment`, first things first.

    Within a stage the order is that of RULES; info comes last.
    """
    facts = Facts(checkpoint, environment)
    version = environment.transformers
    found = [
        each for rule in RULES if rule.applies_to(version) for each in _findings_of(rule, facts)
    ]
    for walked in walked_findings(facts):
        same = next((each for each in found if _is_same(each, walked)), None)
        if same is None:
            found.append(walked)
        else:  # the file says more than the failure does
            place = found.index(same)
            exception, function = walked.exception, walked.function
            found[place] = replace(same, exception=exception, function=function)
    return tuple(
        sorted(found, key=lambda each: (each.severity == "info", STAGES.index(each.stage)))
    )
