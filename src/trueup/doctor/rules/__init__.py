"""Every rule, in the order in which findings of one stage are shown."""

from __future__ import annotations

from trueup.doctor.rule import Rule
from trueup.doctor.rules import (
    adapter,
    audit,
    comparison,
    config,
    directory,
    environment,
    generation,
    generation_config,
    hub_model,
    imports,
    load,
    pickle_layout,
    quantised,
    safety,
    shapes,
    templates,
    tokenizer,
    tokenizer_files,
    unfinished,
    walked,
    weight_files,
)

RULES: tuple[Rule, ...] = (
    *environment.RULES,
    *directory.RULES,
    *weight_files.RULES,
    *pickle_layout.RULES,
    *imports.RULES,
    *adapter.RULES,
    *hub_model.RULES,
    *safety.RULES,
    *shapes.RULES,
    *quantised.RULES,
    *load.RULES,
    *tokenizer_files.RULES,
    *tokenizer.RULES,
    *config.RULES,
    *generation.RULES,
    *audit.RULES,
    *generation_config.RULES,
    *templates.RULES,
    *comparison.RULES,
    *unfinished.RULES,
    *walked.RULES,
)
