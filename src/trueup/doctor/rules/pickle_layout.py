"""Pickled weights in a layout that is read in another way than today's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from trueup.doctor.finding import Finding
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import ProblemRule


class OldPickleLayout(ProblemRule):
    """The pickled weights have torch's layout from before 1.6, which cannot be mapped into memory.

    TrueUp's own loader reads tensors where they lie in the file, so a model that it maps needs the
    file rewritten; torch says `mmap can only be used with files saved with`. A model that
    transformers implements is read whole: a warning.

    Rewrite the file with `torch.load` and `torch.save`; the finding has the command.
    """

    code = "DIR117"
    messages = (
        Message(
            patterns=(r"mmap can only be used with files saved with",),
        ),
    )
    kind = "old_layout"
    stage = "load"
    blocks = ("native",)
    hint = (
        "rewrite the file, in its directory: python -c \"import torch; f = '{path}'; "
        "torch.save(torch.load(f, weights_only=True, map_location='cpu'), f)\""
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        is_harmless = _is_read_by_library(facts)
        for finding in super().check(facts):
            yield replace(finding, severity="warning", blocks=()) if is_harmless else finding


def _is_read_by_library(facts: Facts) -> bool:
    """Whether transformers loads the weights itself; without its files, code of one's own tells."""
    checkpoint, environment = facts.checkpoint, facts.environment
    if environment.is_assumed:
        return not checkpoint.auto_map
    return checkpoint.model_type in environment.library_models


RULES: tuple[Rule, ...] = (OldPickleLayout(),)
