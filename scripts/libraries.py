"""Which modules of which libraries are indexed, and how deep."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from trueup.environment.symbols.facts import ModuleFacts

Depth = Literal["bodies", "signatures", "names"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """How one library is indexed.

    `depth` of a module is None where it is left out. Lazy packages in `not_completed` keep only
    what their source says: their names are found elsewhere.
    """

    name: str
    depth: Callable[[str], Depth | None]
    not_completed: frozenset[str] = frozenset()
    pip_options: tuple[str, ...] = ()

    def trimmed(self, facts: ModuleFacts) -> ModuleFacts:
        """The facts without what is not kept at the module's depth."""
        depth = self.depth(facts.name)
        if depth == "bodies":
            return facts
        if depth == "signatures":
            return replace(facts, has_bodies=False)
        classes = {name: replace(one, methods={}) for name, one in facts.classes.items()}
        return replace(facts, has_bodies=False, classes=classes)


# Converters, tests and other backends are no part of what remote code builds upon.
LEFT_OUT = re.compile(
    r"(^|[._])(convert|modular|dummy|tf|flax|testing|test|sagemaker|commands|cli|benchmark)(_|\.|$)"
)
DEEP = re.compile(
    r"transformers(\.(models|generation|utils|integrations|models\.auto|quantizers|distributed|loss"
    r"|activations|cache_utils|masking_utils|pytorch_utils|processing_utils|file_utils"
    r"|backbone_utils|core_model_loading|initialization|conversion_mapping|dynamic_module_utils"
    r"|convert_slow_tokenizer"
    r"|(configuration|modeling|tokenization|image|feature|video)_\w+)"
    r"|\.(generation|utils|integrations|models\.auto|quantizers|distributed|loss)\.\w+)?"
)


def _transformers_depth(name: str) -> Depth | None:
    if DEEP.fullmatch(name) and not re.search(r"_tf_|_flax_|dummy_|tf_utils|testing|\.fx$", name):
        return "bodies"
    if LEFT_OUT.search(name):
        return None
    return "signatures" if name.startswith("transformers.models.") else "names"


LIBRARIES = {
    "transformers": Library(
        name="transformers",
        depth=_transformers_depth,
        not_completed=frozenset({"transformers.models"}),
    )
}
