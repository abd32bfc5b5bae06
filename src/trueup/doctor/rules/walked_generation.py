"""What the walk meets while a model generates: caches, and the parts of `generate`."""

from __future__ import annotations

from typing import ClassVar

from trueup.doctor.finding import Where
from trueup.doctor.rule import Facts
from trueup.doctor.rules.failure_rule import FailureRule, class_of_model, life_of
from trueup.doctor.walk.failure import Failure
from trueup.environment.symbols.symbols import Lifetime

CACHE = "transformers.cache_utils."
MASK_METHODS = frozenset({"new_ones", "new_zeros", "device", "dtype", "pad", "cat"})


class NoGenerate(FailureRule):
    """The model's class has no `generate`.

    Since 4.52.1 the library's base class does not bring it, and the Auto classes give it only to
    classes that prepare their inputs: `object has no attribute 'generate'`. Add `GenerationMixin`
    to the bases of the class.
    """

    code = "GEN105"
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

    `is not compatible with .generate()`. Give it `prepare_inputs_for_generation`.
    """

    code = "GEN106"
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
    attribute 'new_ones'`, or `pad(): argument 'input' must be Tensor, not NoneType`. Test for
    None before extending it.
    """

    code = "GEN103"
    stage = "generate"
    since = "5.18.0"
    evidence = "observed"
    cause = "`attention_mask` is extended, and `generate` passes None for a batch without padding"
    hint = 'test `model_kwargs.get("attention_mask") is not None`'

    def fits(self, failure: Failure, stage: str) -> bool:
        is_none = failure.kind == "none" and failure.subject in MASK_METHODS
        # The deepest place may be a function of the mask's own.
        return is_none and any("_update_model_kwargs" in each.function for each in failure.frames)


class TupleCacheIsIndexed(FailureRule):
    """The model's code indexes its cache, which is a tuple to it.

    Since 5.0.0 the cache object cannot be indexed: `'DynamicCache' object is not subscriptable`.
    Convert it where `generate` hands it over.
    """

    code = "CACHE103"
    stage = "generate"
    since = "5.0.0"
    evidence = "observed"
    cause = (
        "`{function}` indexes its cache, and the cache object of transformers 5 cannot be indexed"
    )
    hint = "convert the cache to tuples where `generate` hands it over"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "type" and "not subscriptable" in failure.message


class TupleCacheMeetsEmptyLayers(FailureRule):
    """The model's code takes the shape of its cache's first tensor.

    Since 4.56.0 `generate` passes a cache object whose layers are empty at first: it is true, and
    its first entry is None: `'NoneType' object has no attribute 'shape'`; in 4.54 and 4.55 it has
    no layers: `Cache only has 0 layers`. Ask whether the entry is None, and whether the cache is
    true.
    """

    code = "CACHE101"
    stage = "generate"
    since = "4.56.0"
    until = "5.0.0"
    evidence = "observed"
    cause = (
        "`{function}` reads `.{subject}` of the cache's first entry, which is None until a token "
        "has gone through"
    )
    hint = "treat a cache whose first entry is None as no cache"

    def fits(self, failure: Failure, stage: str) -> bool:
        is_shape = failure.subject in ("shape", "size", "dim", "device", "dtype")
        if failure.kind == "key" and failure.subject == "layers":
            return True
        return stage.startswith("generate") and failure.kind == "none" and is_shape

    def gate(self, failure: Failure) -> tuple[str | None, str | None]:
        return ("4.54.0", "4.56.0") if failure.kind == "key" else (self.since, self.until)


class TupleCacheIsJoined(FailureRule):
    """The model's attention joins its cached keys to the new ones with `torch.cat`.

    Since 4.56.0 the cached keys are None at the first token: `expected Tensor as element 0 in
    argument 0, but got NoneType`. Join only where there is something to join.
    """

    code = "CACHE102"
    stage = "generate"
    since = "4.56.0"
    until = "5.0.0"
    evidence = "observed"
    cause = (
        "`{function}` joins the cache to the new keys, and the new cache's entries are None at the "
        "first token"
    )
    hint = "treat a cache whose first entry is None as no cache"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "none" and failure.subject == "cat"


class CacheMemberGone(FailureRule):
    """The model's code uses a member that the library's cache does not have.

    `seen_tokens` went with 4.54.0: `'DynamicCache' object has no attribute …`. Use
    `get_seq_length()`.
    """

    code = "CACHE104"
    stage = "generate"
    cause = "`{owner_name}` has no `{subject}` in transformers {version}"
    hint = "use `get_seq_length()` for lengths and `get_max_cache_shape()` for the limit"
    names: ClassVar[frozenset[str]] = frozenset()

    def fits(self, failure: Failure, stage: str) -> bool:
        is_of_cache = failure.kind == "attribute" and failure.owner.startswith(CACHE)
        return is_of_cache and (not self.names or failure.subject in self.names)

    def life(self, failure: Failure, facts: Facts) -> Lifetime | None:
        return life_of(f"{failure.owner}.{failure.subject}", facts)


class CacheLimitRenamed(CacheMemberGone):
    """The model's code calls `get_max_length` of the cache.

    4.49.0 renamed it to `get_max_cache_shape`; some 5.x have the old name again: `'DynamicCache'
    object has no attribute 'get_max_length'`. Call `get_max_cache_shape()`.
    """

    code = "CACHE105"
    hint = "replace it by `get_max_cache_shape()`"
    names = frozenset({"get_max_length"})


class CacheUsableLengthGone(CacheMemberGone):
    """The model's code calls `get_usable_length` of the cache.

    4.54.0 removed it: `'DynamicCache' object has no attribute 'get_usable_length'`. Call
    `get_seq_length()`.
    """

    code = "CACHE106"
    hint = "replace it by `get_seq_length()`"
    names = frozenset({"get_usable_length"})


class CacheConversionGone(CacheMemberGone):
    """The model's code converts between the cache object and tuples.

    5.0.0 removed both ways: `has no attribute 'to_legacy_cache'`, or `'from_legacy_cache'`. Keep
    the cache object as it is.
    """

    code = "CACHE107"
    hint = "keep the cache object as it is"
    names = frozenset({"to_legacy_cache", "from_legacy_cache"})


GENERATION_RULES: tuple[FailureRule, ...] = (
    NoGenerate(),
    NotMadeToGenerate(),
    ExtractPastGone(),
    MaskMayBeNone(),
    TupleCacheIsIndexed(),
    TupleCacheMeetsEmptyLayers(),
    TupleCacheIsJoined(),
    CacheLimitRenamed(),
    CacheUsableLengthGone(),
    CacheConversionGone(),
    CacheMemberGone(),
)
