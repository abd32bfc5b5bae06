"""Settings that the library took out of configs have the values that they had."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.finding import Finding

if TYPE_CHECKING:
    import libcst as cst

# What `PretrainedConfig` gave every config up to 4.57, of which 5.0 keeps nothing.
DEFAULTS = {
    "max_length": "20",
    "min_length": "0",
    "do_sample": "False",
    "early_stopping": "False",
    "num_beams": "1",
    "num_beam_groups": "1",
    "diversity_penalty": "0.0",
    "temperature": "1.0",
    "top_k": "50",
    "top_p": "1.0",
    "typical_p": "1.0",
    "repetition_penalty": "1.0",
    "length_penalty": "1.0",
    "no_repeat_ngram_size": "0",
    "bad_words_ids": "None",
    "num_return_sequences": "1",
    "use_cache": "True",
    "torchscript": "False",
    "pruned_heads": "{}",
    "tie_word_embeddings": "True",
    "is_decoder": "False",
    "add_cross_attention": "False",
    "cross_attention_hidden_size": "None",
    "pad_token_id": "None",
    "bos_token_id": "None",
    "eos_token_id": "None",
}
CONFIG = "config"


class ConfigDefaults(Fix):
    """transformers 5 took settings out of configs that the model's code reads.

    `'ChatGLMConfig' object has no attribute 'max_length'`, while the model is built, or
    `use_cache` at its first step.
    """

    name = "config-defaults"
    answers = ("CFG102", "CFG104")
    does = "a setting that transformers 5 took out of configs reads as it did in 4.x"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code reads such a setting of a config."""
        names = _unset(facts)
        return any(
            _is_read(node, names) for module in facts.code.modules.values() for node in module.nodes
        )

    def mends(self, finding: Finding, facts: FixFacts) -> bool:
        """Whether the attribute is one of the table's."""
        return finding.code in self.answers and any(
            f".{name}`" in finding.cause for name in _unset(facts)
        )

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Read such settings with `getattr` and what 4.x gave them."""
        values = {name: _value(name, facts) for name in _unset(facts)}
        sources.edit_all(lambda: _change(values))


def _unset(facts: FixFacts) -> frozenset[str]:
    """The settings that the model's own config class does not set itself."""
    code = facts.code
    return frozenset(name for name in DEFAULTS if not code.assigns(code.config, name))


def _is_read(node: ast.AST, names: frozenset[str]) -> bool:
    if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return False
    owner = node.value
    is_config = isinstance(owner, ast.Name) and owner.id == CONFIG
    is_own = isinstance(owner, ast.Attribute) and owner.attr == CONFIG
    return node.attr in names and (is_config or is_own)


def _value(name: str, facts: FixFacts) -> str:
    """What config.json says, which transformers 5 drops too, else the former default."""
    config = facts.checkpoint.config
    if name not in config:
        return DEFAULTS[name]
    value = config[name]
    # JSON's NaN and Infinity are no literals of Python.
    is_odd = isinstance(value, float) and not math.isfinite(value)
    return f'float("{value}")' if is_odd else repr(value)


def _change(values: Mapping[str, str]) -> cst.CSTTransformer:
    import libcst as cst
    import libcst.matchers as m

    config = m.Name(CONFIG) | m.Attribute(attr=m.Name(CONFIG))

    class Change(cst.CSTTransformer):
        """Only what is read: a target of an assignment is left alone."""

        def visit_AssignTarget(self, node: cst.AssignTarget) -> bool:
            return False

        def visit_AugAssign(self, node: cst.AugAssign) -> bool:
            return False

        def visit_Del(self, node: cst.Del) -> bool:
            return False

        def leave_Attribute(
            self, original_node: cst.Attribute, updated_node: cst.Attribute
        ) -> cst.BaseExpression:
            name = original_node.attr.value
            if name not in values or not m.matches(original_node.value, config):
                return updated_node
            owner = cst.Module([]).code_for_node(updated_node.value)
            return cst.parse_expression(f'getattr({owner}, "{name}", {values[name]})')

    return Change()
