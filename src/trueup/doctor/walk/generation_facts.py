"""How a version's `generate` goes about it."""

from __future__ import annotations

from packaging.version import Version

from trueup.doctor.walk.walk import Walk

# From here on a mask of ones is None.
NO_FULL_MASK = Version("5.18.0")
PAST = "past_key_values"


class GenerationFacts(Walk):
    """Questions about the version."""

    @property
    def _drops_mask(self) -> bool:
        """Whether `generate` passes no mask where nothing is padded."""
        return self.world.is_at_least(NO_FULL_MASK)

    @property
    def _prepares_for_all(self) -> bool:
        """Whether the library's own `prepare_inputs_for_generation` is more than a refusal."""
        member = self.world.symbols.member(
            "transformers.generation.utils.GenerationMixin", "prepare_inputs_for_generation"
        )
        if member is None or isinstance(member[1], str) or member[1] is None:
            return False
        return not member[1].is_abstract

    @property
    def _cache_name(self) -> str:
        """Under which name a cache goes from token to token."""
        member = self.world.symbols.member(
            "transformers.generation.utils.GenerationMixin", "prepare_inputs_for_generation"
        )
        if member is None or isinstance(member[1], str) or member[1] is None:
            return PAST
        return "cache" if any(each.name == "cache" for each in member[1].parameters) else PAST

    @property
    def _has_cache_position(self) -> bool:
        member = self.world.symbols.member(
            "transformers.generation.utils.GenerationMixin", "_get_initial_cache_position"
        )
        return member is not None

    @property
    def _prepares_cache(self) -> bool:
        member = self.world.symbols.member(
            "transformers.generation.utils.GenerationMixin", "_prepare_cache_for_generation"
        )
        return member is not None

    @property
    def _passes_first_iteration(self) -> bool:
        member = self.world.symbols.member(
            "transformers.generation.utils.GenerationMixin", "prepare_inputs_for_generation"
        )
        if member is None or isinstance(member[1], str) or member[1] is None:
            return False
        return any(each.name == "is_first_iteration" for each in member[1].parameters)
