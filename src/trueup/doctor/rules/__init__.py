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
    load,
    pickle_layout,
    safety,
    shapes,
    tokenizer,
)

RULES: tuple[Rule, ...] = (
    *environment.RULES,
    *directory.RULES,
    *pickle_layout.RULES,
    *safety.RULES,
    *shapes.RULES,
    *load.RULES,
    *tokenizer.RULES,
    *config.RULES,
    *generation.RULES,
    *cache.RULES,
    *audit.RULES,
)
