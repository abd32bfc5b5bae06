"""Every rule, in the order in which findings of one stage are shown."""

from __future__ import annotations

from trueup.doctor.rule import Rule
from trueup.doctor.rules import (
    audit,
    cache,
    config,
    directory,
    environment,
    generation,
    hub_model,
    imports,
    load,
    pickle_layout,
    safety,
    shapes,
    tokenizer,
    weight_files,
)

RULES: tuple[Rule, ...] = (
    *environment.RULES,
    *directory.RULES,
    *weight_files.RULES,
    *pickle_layout.RULES,
    *imports.RULES,
    *hub_model.RULES,
    *safety.RULES,
    *shapes.RULES,
    *load.RULES,
    *tokenizer.RULES,
    *config.RULES,
    *generation.RULES,
    *cache.RULES,
    *audit.RULES,
)
