"""Runs every rule on the facts of one model and orders what they find. No input or output."""

from __future__ import annotations

from dataclasses import replace

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding
from trueup.doctor.joining import place_of, rule_findings, with_reasons
from trueup.doctor.rule import Facts
from trueup.doctor.rules.walked import walked_findings
from trueup.environment.environment import Environment


def examine(checkpoint: Checkpoint, environment: Environment) -> tuple[Finding, ...]:
    """What will break when `checkpoint` is loaded and run in `environment`, first things first.

    Within a stage the order is that of RULES; info comes last.
    """
    facts = Facts(checkpoint, environment)
    found = rule_findings(facts)
    for walked, reason in with_reasons(found[:], walked_findings(facts)):
        if reason is None:
            found.append(walked)
        else:  # the file says more than the failure does
            exception, function = walked.exception, walked.function
            found[reason] = replace(found[reason], exception=exception, function=function)
    return tuple(sorted(found, key=lambda each: (each.severity == "info", place_of(each.stage))))
