"""The doctor once more, over the repaired code: a failure may have hidden another. Pure."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import replace

from packaging.version import Version

from trueup.adapt.fixes.choice import Choice
from trueup.adapt.fixes.fix import FixFacts
from trueup.adapt.fixes.repair import repaired_texts
from trueup.checkpoint.checkpoint import Checkpoint, RemoteModule
from trueup.doctor.code import ModelCode
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.environment.environment import Environment


def left_after(
    choice: Choice, checkpoint: Checkpoint, environment: Environment, transformers: Version
) -> tuple[Finding, ...]:
    """What would still close the fixed route, of code that has the fixes.

    What a fix was to mend and is found again counts, as a second place that it did not reach;
    dismissed are only those that the doctor cannot see mended (`Fix.unseen`).

    Raises: AdaptError for code that cannot be repaired.
    """
    if not choice.fixes:
        return ()
    texts = repaired_texts([fix.title for fix in choice.fixes], checkpoint, transformers)
    modules = {path: _module(path, text) for path, text in texts.items()}
    findings = examine(replace(checkpoint, remote_code=modules), environment)
    facts = FixFacts(checkpoint, ModelCode(checkpoint), transformers)
    return tuple(
        each
        for each in findings
        # What closes the native route too is not about the code.
        if "fixed" in each.blocks
        and "native" not in each.blocks
        and not any(each.code in fix.unseen and fix.mends(each, facts) for fix in choice.fixes)
    )


def _module(path: str, text: str) -> RemoteModule:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return RemoteModule(path=path, source=text, sha256=sha256, tree=ast.parse(text))
