"""What the walk meets while a model generates: the parts of `generate`."""

from __future__ import annotations

from trueup.doctor.finding import Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts
from trueup.doctor.rules.failure_rule import FailureRule, class_of_model
from trueup.doctor.rules.walked_cache import CACHE_RULES
from trueup.doctor.walk.failure import Failure

MASK_METHODS = frozenset({"new_ones", "new_zeros", "device", "dtype", "pad", "cat"})


class NoGenerate(FailureRule):
    """The model's class has no `generate`.

    Since 4.52.1 the library's base class does not bring it, and the Auto classes give it only to
    classes that prepare their inputs: `'XForCausalLM' object has no attribute 'generate'`.

    Add `GenerationMixin` to the bases of the class.
    """

    code = "GEN105"
    messages = (
        Message(
            patterns=(
                r"'\w*(?:For|LMHead|Model)\w*' object has no attribute '?(?:generate\b|"
                r"generation_config)",
            ),
            cause="the model's class does not have `generate`: the base class of models no "
            "longer brings it",
        ),
    )
    stage = "generate"
    since = "4.52.1"
    evidence = "observed"
    cause = "the model's class does not have `generate`: {message}"
    hint = "add `GenerationMixin` to the bases of the class"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "attribute" and failure.subject == "generate"

    def place(self, failure: Failure, facts: Facts) -> Where:
        return class_of_model(facts)


class NotMadeToGenerate(FailureRule):
    """The model's class does not prepare inputs for `generate`, which takes that for no head.

    `The current model class (XModel) is not compatible with .generate()`.

    Load it with the Auto class of its head, or give the class a `prepare_inputs_for_generation`.
    """

    code = "GEN106"
    messages = (
        Message(
            patterns=(r"is not compatible with `?\.generate\(\)",),
            cause="the model's class does not prepare inputs for `generate`",
        ),
    )
    stage = "generate"
    evidence = "observed"
    cause = "{message}"
    hint = "give the class a `prepare_inputs_for_generation`"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "library" and stage.startswith("generate")

    def place(self, failure: Failure, facts: Facts) -> Where:
        return class_of_model(facts)


class ExtractPastGone(FailureRule):
    """The model's code calls `_extract_past_from_model_output`.

    4.42.0 made it return a pair, 4.44.0 took its `standardize_cache_format` away, 4.49.0 removed
    it: `object has no attribute '_extract_past_from_model_output'`, also with `use_cache=False`.

    Read `outputs.past_key_values` instead.
    """

    code = "GEN101"
    messages = (
        Message(
            patterns=(r"no attribute '?_extract_past_from_model_output",),
            seen_with=(r"_update_model_kwargs_for_generation",),
            cause="the model's code calls `_extract_past_from_model_output`, a private part of "
            "transformers that is gone",
            since="4.49.0",
        ),
        Message(
            patterns=(r"_extract_past_from_model_output\(\) got an unexpected keyword argument",),
            cause="`_extract_past_from_model_output` lost its argument `standardize_cache_format`",
            since="4.44.0",
        ),
        Message(
            patterns=(
                r"too many values to unpack \(expected 2\)",
                r"'str' object has no attribute '?shape",
            ),
            is_broad=True,
            seen_with=(r"cache_k, cache_v = kv_cache", r"get_masks", r"past_key_values\[0\]"),
            cause="`_extract_past_from_model_output` returns a pair since 4.42, and the model's "
            "code keeps the pair as its cache",
            since="4.42.0",
            until="4.44.0",
        ),
    )
    stage = "generate"
    since = "4.42.0"
    evidence = "observed"
    cause = "the cache is taken out of the outputs by `_extract_past_from_model_output`: {message}"
    hint = "replace the call by `outputs.past_key_values`"

    def fits(self, failure: Failure, stage: str) -> bool:
        is_a_name = failure.owner == "str" and (
            failure.subject in ("shape", "size") or failure.kind == "value"
        )
        return is_a_name or "_extract_past_from_model_output" in failure.subject

    def gate(self, failure: Failure) -> tuple[str | None, str | None]:
        if failure.owner == "str":
            return self.since, self.until
        return "4.44.0" if failure.kind == "argument" else "4.49.0", self.until


class MaskMayBeNone(FailureRule):
    """The model's code extends `attention_mask` between tokens without asking whether it is None.

    Since 5.18.0 `generate` passes None where nothing is padded: `'NoneType' object has no
    attribute 'new_ones'`, or `pad(): argument 'input' must be Tensor, not NoneType`.

    Test for None before extending it.
    """

    code = "GEN103"
    messages = (
        Message(
            patterns=(
                r"'NoneType' object has no attribute '?new_ones",
                r"pad\(\): argument 'input'(?: \(position 1\))? must be Tensor, not NoneType",
            ),
            seen_with=(r"_update_model_kwargs_for_generation",),
        ),
    )
    stage = "generate"
    since = "5.18.0"
    evidence = "observed"
    cause = "`attention_mask` is extended, and `generate` passes None for a batch without padding"
    hint = 'test `model_kwargs.get("attention_mask") is not None`'

    def fits(self, failure: Failure, stage: str) -> bool:
        is_none = failure.kind == "none" and failure.subject in MASK_METHODS
        # The deepest place may be a function of the mask's own.
        return is_none and any("_update_model_kwargs" in each.function for each in failure.frames)


GENERATION_RULES: tuple[FailureRule, ...] = (
    NoGenerate(),
    NotMadeToGenerate(),
    ExtractPastGone(),
    MaskMayBeNone(),
    *CACHE_RULES,
)
