"""What the walk meets of a model's configuration: what is read of it and not there."""

from __future__ import annotations

from packaging.version import Version

from trueup.doctor.finding import Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts
from trueup.doctor.rules.failure_rule import FailureRule, class_of_config
from trueup.doctor.walk.configurations import GENERATION_CONFIG, GENERATION_KEYS
from trueup.doctor.walk.failure import Failure
from trueup.environment.symbols.symbols import Lifetime, lifetime_of_attribute

CONFIGURATION = "transformers.configuration_utils."
# By the name that all releases have.
BASE_CONFIG = "transformers.PretrainedConfig"
# What configs of models' own call the count of their layers.
LAYER_COUNTS = ("num_layers", "n_layer", "n_layers", "num_decoder_layers", "decoder_layers",
                "num_blocks", "n_blocks", "depth")  # fmt: skip
# Of generation, as errors name them.
SETTINGS = (
    r"(?:max_length|use_cache|min_length|do_sample|num_beams|temperature|top_[kp]|"
    r"repetition_penalty|length_penalty|early_stopping|forced_[be]os_token_id|output_scores|"
    r"num_return_sequences|no_repeat_ngram_size|suppress_tokens|typical_p)"
)


class NoLayerCount(FailureRule):
    """The config class has no `num_hidden_layers`, under which the library counts layers.

    Since 4.56.0 `generate` builds its cache from the config: `object has no attribute
    'num_hidden_layers'`.

    Map the standard name to the model's own with `attribute_map`, or set it where there is none.
    """

    code = "CFG101"
    messages = (
        Message(
            patterns=(r"(?:'(?P<config>\w+)' )?object has no attribute '?num_hidden_layers",),
            hint='add `attribute_map = {{"num_hidden_layers": "num_layers"}}` to the config class, '
            "with the name that it counts its layers in, or set `num_hidden_layers` itself",
        ),
    )
    stage = "generate"
    since = "4.56.0"
    evidence = "observed"
    cause = "the config has no `num_hidden_layers`, from which `generate` builds its cache"
    hint = "{remedy}"

    def fits(self, failure: Failure, stage: str) -> bool:
        is_count = failure.subject == "num_hidden_layers" and failure.kind == "attribute"
        return is_count and not failure.frames

    def words(self, failure: Failure, facts: Facts) -> dict[str, str]:
        return {**super().words(failure, facts), "remedy": _layer_count(facts)}

    def place(self, failure: Failure, facts: Facts) -> Where:
        return class_of_config(facts)


class ConfigOfNoBase(FailureRule):
    """The model's configuration does not inherit from `PretrainedConfig`.

    AutoConfig takes nothing else: `type object 'XConfig' has no attribute
    'register_for_auto_class'`; nor do models: `should be an instance of class PretrainedConfig`.
    Where a constructor puts another object into `self.config`, loading asks that one, since 4.49.0:
    `has no attribute 'get_text_config'`.

    Inherit from it.
    """

    code = "CFG105"
    messages = (
        Message(
            patterns=(
                r"type object '\w*Config\w*' has no attribute '?register_for_auto_class",
                r"should be an instance of class `?Pre[tT]rainedConfig",
            ),
            cause="the configuration's class does not inherit from `PretrainedConfig`",
        ),
        Message(
            patterns=(r"has no attribute '?get_text_config",),
            cause="a configuration that does not inherit from `PretrainedConfig` is asked what "
            "only that has",
            since="4.49.0",
        ),
    )
    stage = "init"
    evidence = "reported"
    cause = "the configuration's class does not inherit from `PretrainedConfig`: {message}"
    hint = "let it inherit from `PretrainedConfig`"

    def fits(self, failure: Failure, stage: str) -> bool:
        is_refused = failure.kind == "library" and "`PretrainedConfig`" in failure.message
        return is_refused or failure.subject in ("get_text_config", "register_for_auto_class")

    def place(self, failure: Failure, facts: Facts) -> Where:
        is_refused = failure.kind == "library"
        return class_of_config(facts) if is_refused else facts.code.defined(failure.owner)

    def gate(self, failure: Failure) -> tuple[str | None, str | None]:
        return (None, None) if failure.kind == "library" else ("4.49.0", None)


class GenerationKeyInConfig(FailureRule):
    """The model's code reads a generation setting from its config, where it no longer is.

    Since 5.0.0 configs have no `max_length` and its like, and drop what config.json names of them,
    `use_cache` too: `'XConfig' object has no attribute 'max_length'`.

    Read it with a default, or from the generation config.
    """

    code = "CFG102"
    messages = (
        Message(
            patterns=(rf"'\w*Config\w*' object has no attribute '?(?P<subject>{SETTINGS})\b",),
        ),
    )
    stage = "init"
    since = "5.0.0"
    evidence = "observed"
    cause = "`config.{subject}` is read, and transformers 5 takes `{subject}` out of configs"
    hint = "read it as `getattr(config, '{subject}', ...)` with a default"

    def fits(self, failure: Failure, stage: str) -> bool:
        is_gone = failure.owner == GENERATION_CONFIG and failure.subject in GENERATION_KEYS
        return failure.kind == "attribute" and is_gone


class ConfigAttributeMissing(FailureRule):
    """The model's code reads an attribute of its config that nobody sets.

    Many came from the library's base class, which sets fewer of them since 5.0.0 (`pad_token_id`,
    `is_decoder`, …): `'XConfig' object has no attribute 'pad_token_id'`.

    Set it in the config's `__init__`, or in config.json.
    """

    code = "CFG104"
    messages = (
        Message(
            patterns=(
                r"'\w*Config\w*' object has no attribute '?(?P<subject>(?:pad|bos|eos|sep|"
                r"decoder_start)_token_id|use_return_dict|tie_word_embeddings|torchscript|"
                r"is_decoder|add_cross_attention|pruned_heads|cross_attention_hidden_size)\b",
            ),
            since="5.0.0",
        ),
        Message(
            patterns=(
                r"'(?!Generation)\w*Config\w*' object has no attribute "
                rf"'?(?P<subject>(?!(?:num_hidden_layers|get_text_config|{SETTINGS})\b)\w+)",
            ),
            is_broad=True,
            seen_with=(
                r"modeling_\w+\.py",
                r"configuration_\w+\.py",
            ),
        ),
    )
    stage = "init"
    cause = "`config.{subject}` is read, and neither config.json nor the config's classes set it"
    hint = "read it as `getattr(config, '{subject}', None)`, or add it to config.json"

    def fits(self, failure: Failure, stage: str) -> bool:
        is_of_config = failure.owner.startswith(CONFIGURATION) or _is_of_library(failure)
        return failure.kind == "attribute" and is_of_config

    def life(self, failure: Failure, facts: Facts) -> Lifetime | None:
        version = facts.environment.transformers
        if version is None:
            return None
        base = Version(version.base_version)
        owner = failure.owner if _is_of_library(failure) else BASE_CONFIG
        return lifetime_of_attribute(owner, failure.subject, base)


class RopeTypeRenamed(FailureRule):
    """The model's code reads `rope_scaling["type"]`.

    Since 5.0.0 the library keeps rope settings under `rope_type`, and there are always some, so
    that `rope_scaling` is no longer None: `KeyError: 'type'`.

    Read `rope_type`, and take `default` for none.
    """

    code = "CFG106"
    messages = (
        Message(
            patterns=(r"KeyError: '(?P<subject>type)'",),
            is_broad=True,
            seen_with=(
                r"rope",
                r"configuration_\w+\.py",
                r"_init_rope",
            ),
        ),
    )
    stage = "init"
    since = "5.0.0"
    evidence = "observed"
    cause = "`rope_scaling` has no key `{subject}` in transformers 5, which calls it `rope_type`"
    hint = "read `rope_scaling.get('rope_type', 'default')`, and treat `default` as no scaling"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "key" and failure.subject in ("type", "factor")


def _layer_count(facts: Facts) -> str:
    """How the library may be told the count: under a name that the config has, else anew."""
    config, owner = facts.checkpoint.config, facts.code.config
    for name in LAYER_COUNTS:
        if name in config or facts.code.assigns(owner, name):
            return f'add `attribute_map = {{"num_hidden_layers": "{name}"}}` to the config class'
    return "set `num_hidden_layers` in config.json or in the config class, to the count of layers"


def _is_of_library(failure: Failure) -> bool:
    """Whether the configuration is one that the library makes for a type of its own."""
    return failure.owner.startswith("transformers.models.") and ".configuration_" in failure.owner


CONFIG_RULES: tuple[FailureRule, ...] = (
    NoLayerCount(),
    ConfigOfNoBase(),
    GenerationKeyInConfig(),
    ConfigAttributeMissing(),
    RopeTypeRenamed(),
)
