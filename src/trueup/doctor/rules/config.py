"""Config classes of a model's own code that lack what current libraries read."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from trueup.doctor.code import Method
from trueup.doctor.finding import Finding, Stage, Where
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.config_hint import config_hint

# Keys that transformers 5 takes out of a config: they belong to the generation config alone.
LEFT_THE_CONFIG = frozenset(
    {
        "max_length", "min_length", "do_sample", "use_cache", "early_stopping", "num_beams",
        "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty",
        "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
        "num_return_sequences", "output_scores", "return_dict_in_generate",
        "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
        "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
        "num_beam_groups", "diversity_penalty",
    }
)  # fmt: skip


class NoLayerCount(Rule):
    """The config class has no `num_hidden_layers`, under which the library counts layers.

    Since 4.56.0, but for 5.0, `generate` builds its cache from the config: `object has no
    attribute 'num_hidden_layers'`. Map the standard name to the model's own with `attribute_map`.
    """

    code = "CFG101"
    stage = "generate"
    since = "4.56.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        code, config = facts.code, facts.code.config
        version = facts.environment.transformers
        if config is None or code.model is None or version is None:
            return
        if version.release[:2] == (5, 0):  # which makes no cache of its own for such models
            return
        name = "num_hidden_layers"
        if (
            code.assigns(config, name)
            or name in code.attribute_map(config)
            or name in facts.checkpoint.config
            or not _is_of_the_library(config.node)
        ):
            return
        own = next(
            (each for each in ("num_layers", "n_layer", "n_layers") if code.assigns(config, each)),
            None,
        )
        known_as = f"; here it is `{own}`" if own else ""
        target = own or "the model's own name"
        yield self.found(
            f"`{config.name}` has no `{name}`, from which `generate` builds its cache{known_as}",
            where=config.at(config.node),
            hint=f'add `attribute_map = {{"{name}": "{target}"}}` to `{config.name}`'
            if own
            else None,
        )


def _is_of_the_library(node: ast.ClassDef) -> bool:
    names = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return "PretrainedConfig" in names or "PreTrainedConfig" in names


class GenerationKeyInConfig(Rule):
    """The model's code reads a generation setting from its config, where it no longer is.

    Since 5.0.0 configs have no `max_length`, `use_cache` and their like, even where config.json
    names them: `object has no attribute 'max_length'`. Read it with a default, or from the
    generation config.
    """

    code = "CFG102"
    stage = "init"
    since = "5.0.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        code = facts.code
        if code.config is None:
            return
        seen: set[str] = set()
        for method in code.methods_of_modeling():
            for node in _config_reads(method):
                name = node.attr
                if name in seen or name not in LEFT_THE_CONFIG:
                    continue
                if code.assigns(code.config, name) or name in code.attribute_map(code.config):
                    continue
                seen.add(name)
                stage: Stage = "init" if method.node.name == "__init__" else "forward"
                yield self.found(
                    f"`config.{name}` is read, and transformers 5 takes `{name}` out of configs",
                    where=method.at(node),
                    stage=stage,
                    hint=f"read it as `getattr(config, {name!r}, ...)` with a default",
                )


def _config_reads(method: Method) -> Iterator[ast.Attribute]:
    """`config.x` and `self.config.x` where x is read, in the order of the source."""
    reads = [
        node
        for node in ast.walk(method.node)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and (
            (isinstance(node.value, ast.Name) and node.value.id == "config")
            or (isinstance(node.value, ast.Attribute) and node.value.attr == "config")
        )
    ]
    yield from sorted(reads, key=lambda node: (node.lineno, node.col_offset))


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


RULES: tuple[Rule, ...] = (UnknownArchitecture(), NoLayerCount(), GenerationKeyInConfig())
