"""What config.json says of the architecture, against what can run it."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.doctor.finding import Finding, Where
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.config_hint import config_hint


class UnknownArchitecture(Rule):
    """Neither the installed transformers nor code in the directory implements the model.

    Install a transformers that knows it, or get the directory's Python files.
    """

    code = "CFG103"
    stage = "config"
    blocks = ("native", "fixed", "isolated")
    evidence = "index"

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint, environment = facts.checkpoint, facts.environment
        if checkpoint.auto_map or not checkpoint.config or not environment.library_models:
            return
        if checkpoint.hub_model is not None:  # loaded by its own class
            return
        model_type = checkpoint.model_type
        if model_type is None:
            yield self.found(
                "config.json has no `model_type`, and no code of its own says what it is",
                where=Where(path="config.json", key="model_type"),
                hint=config_hint(checkpoint),
            )
        elif model_type not in environment.library_models:
            yield self.found(
                f"transformers {environment.transformers} does not know the model type "
                f"`{model_type[:80]}`, and the directory has no code of its own",
                where=Where(path="config.json", key="model_type"),
                hint="install a newer transformers, or get the model's Python files",
                blocks=("fixed", "isolated"),
            )


RULES: tuple[Rule, ...] = (UnknownArchitecture(),)
