"""How a version's `generate` goes about it, and which models it takes."""

from __future__ import annotations

from packaging.version import Version

from trueup.doctor.walk.imports import MODELS
from trueup.doctor.walk.values import (
    UNKNOWN,
    Instance,
    LibraryMethod,
    LibraryName,
    OwnClass,
    OwnFunction,
    Value,
)
from trueup.doctor.walk.walk import Walk

# From here on a mask of ones is None.
NO_FULL_MASK = Version("5.18.0")
PAST = "past_key_values"
# From here on only what names the mixin among its bases, or prepares its inputs, generates.
ASKS_BASES = Version("4.45.0")


class GenerationFacts(Walk):
    """Questions about the version, and what it asks of a model."""

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

    def _finds_generate(self, model: Instance, order: tuple[Value, ...]) -> None:
        """See that the model has `generate` and that the library lets it.

        Raises:
            RaisedError: it has none, or the library finds no head.
        """
        own = [
            found
            for name in ("generate", "prepare_inputs_for_generation")
            if (found := self.in_class(order, name)) is not None
            and isinstance(found[1], OwnFunction)
        ]
        has_mixin = any(map(is_of_mixin, order))
        if own:  # the Auto classes give such a class what it lacks
            return
        if not has_mixin:
            self.no_attribute(model, "generate")
        name = "prepare_inputs_for_generation"
        if self.world.is_at_least(ASKS_BASES):
            is_made_to = any(self._mixes_in(each) for each in order)
        else:
            found = self.in_class(order, name)
            is_made_to = found is not None and (self._prepares_for_all or not is_of_mixin(found[0]))
        if not is_made_to:
            self.fail(
                "library",
                "TypeError",
                f"The current model class ({model.class_name}) is not compatible with "
                "`.generate()`, as it doesn't have a language model head.",
                subject=name,
            )

    def _mixes_in(self, cls: Value) -> bool:
        """Whether a class of the model's own code names the mixin among its bases, or a model."""
        if not isinstance(cls, OwnClass):
            return isinstance(cls, LibraryName) and cls.dotted.startswith(MODELS)
        return any(
            isinstance(each, LibraryName) and each.dotted.endswith("GenerationMixin")
            for each in cls.bases
        )

    def special_method(
        self,
        method: LibraryMethod,
        subject: Value,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value | None:
        """As of any walk; `generate` of a part of the model is asked whether it may."""
        if method.function.name == "generate" and isinstance(subject, Instance):
            if self.is_closed_instance(subject):
                self._finds_generate(subject, self._order(subject.cls))
            return UNKNOWN
        return super().special_method(method, subject, arguments, keywords)


def is_of_mixin(owner: Value) -> bool:
    """Whether a class is the one that gives every model `generate`."""
    return isinstance(owner, LibraryName) and owner.dotted.endswith("GenerationMixin")
