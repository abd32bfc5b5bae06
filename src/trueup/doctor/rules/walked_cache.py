"""What the walk meets of caches, which are tuples to older code."""

from __future__ import annotations

from typing import ClassVar

from trueup.doctor.message import Message
from trueup.doctor.rule import Facts
from trueup.doctor.rules.failure_rule import FailureRule, life_of
from trueup.doctor.walk.failure import Failure
from trueup.environment.symbols.symbols import Lifetime

CACHE = "transformers.cache_utils."


class TupleCacheIsIndexed(FailureRule):
    """The model's code indexes its cache, which is a tuple to it.

    Since 5.0.0 the cache object cannot be indexed: `'DynamicCache' object is not subscriptable`.

    Convert it where `generate` hands it over.
    """

    code = "CACHE103"
    messages = (
        Message(
            patterns=(r"'(?:Dynamic|Static|Encoder\w*|Hybrid)?Cache' object is not subscriptable",),
        ),
    )
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

    Since 4.54.0 `generate` passes a cache object instead of None; in 4.54 and 4.55 it has no
    layers at first: `Cache only has 0 layers`. Since 4.56.0 it is true and its layers are empty,
    so that its first entry is None: `'NoneType' object has no attribute 'shape'`.

    Ask whether the entry is None, and whether the cache is true.
    """

    code = "CACHE101"
    messages = (
        Message(
            patterns=(r"'NoneType' object has no attribute '?(?P<subject>shape|size)\b",),
            is_broad=True,
            since="4.56.0",
            until="5.0.0",
            seen_with=(
                r"get_masks",
                r"past_key_values?\[0\]",
                r"modeling_\w+\.py",
                r"_prefill",
            ),
        ),
        Message(
            patterns=(r"Cache only has 0 layers",),
            since="4.54.0",
            until="4.56.0",
            cause="the model's code takes its cache for a tuple of tensors; `generate` passes "
            "a cache object that has no layers until a token has gone through",
            hint="ask whether the cache is true before it is indexed",
        ),
    )
    stage = "generate"
    since = "4.54.0"
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
        return ("4.54.0", "4.56.0") if failure.kind == "key" else ("4.56.0", self.until)


class TupleCacheIsJoined(FailureRule):
    """The model's attention joins its cached keys to the new ones with `torch.cat`.

    Since 4.56.0 the cached keys are None at the first token: `expected Tensor as element 0 in
    argument 0, but got NoneType`.

    Join only where there is something to join.
    """

    code = "CACHE102"
    messages = (
        Message(
            patterns=(r"expected Tensor as element \d+ in argument \d+, but got NoneType",),
            seen_with=(
                r"torch\.cat\(\(cache_k",
                r"past_key",
                r"modeling_\w+\.py",
            ),
        ),
    )
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

    `seen_tokens` went with 4.54.0: `'DynamicCache' object has no attribute 'seen_tokens'`.

    Use `get_seq_length()`.
    """

    code = "CACHE104"
    messages = (
        Message(
            patterns=(
                r"'(?P<owner>(?:Dynamic|Static|Encoder\w*|Hybrid)?Cache)' object has no "
                r"attribute '?(?P<subject>(?!get_max_length|get_usable_length|to_legacy|"
                r"from_legacy)\w+)",
            ),
            dotted="transformers.cache_utils.DynamicCache.{subject}",
            cause="`{owner}` of the transformers that ran has no `{subject}`",
        ),
    )
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
    object has no attribute 'get_max_length'`.

    Call `get_max_cache_shape()`.
    """

    code = "CACHE105"
    messages = (
        Message(
            patterns=(
                r"'(?P<owner>(?:Dynamic|Static|Encoder\w*|Hybrid)?Cache)' object has no "
                r"attribute '?(?P<subject>get_max_length)",
            ),
            dotted="transformers.cache_utils.DynamicCache.{subject}",
        ),
    )
    hint = "replace it by `get_max_cache_shape()`"
    names = frozenset({"get_max_length"})


class CacheUsableLengthGone(CacheMemberGone):
    """The model's code calls `get_usable_length` of the cache.

    4.54.0 removed it: `'DynamicCache' object has no attribute 'get_usable_length'`.

    Call `get_seq_length()`.
    """

    code = "CACHE106"
    messages = (
        Message(
            patterns=(
                r"'(?P<owner>(?:Dynamic|Static|Encoder\w*|Hybrid)?Cache)' object has no "
                r"attribute '?(?P<subject>get_usable_length)",
            ),
            dotted="transformers.cache_utils.DynamicCache.{subject}",
        ),
    )
    hint = "replace it by `get_seq_length()`"
    names = frozenset({"get_usable_length"})


class CacheConversionGone(CacheMemberGone):
    """The model's code converts between the cache object and tuples.

    5.0.0 removed both ways: `'DynamicCache' object has no attribute 'to_legacy_cache'`, or `type
    object 'DynamicCache' has no attribute 'from_legacy_cache'`.

    Keep the cache object as it is.
    """

    code = "CACHE107"
    messages = (
        Message(
            patterns=(
                r"Cache'? (?:object )?has no attribute '?(?P<subject>(?:to|from)_legacy_cache)",
            ),
            dotted="transformers.cache_utils.DynamicCache.{subject}",
        ),
    )
    hint = "keep the cache object as it is"
    names = frozenset({"to_legacy_cache", "from_legacy_cache"})


CACHE_RULES: tuple[FailureRule, ...] = (
    TupleCacheIsIndexed(),
    TupleCacheMeetsEmptyLayers(),
    TupleCacheIsJoined(),
    CacheLimitRenamed(),
    CacheUsableLengthGone(),
    CacheConversionGone(),
    CacheMemberGone(),
)
