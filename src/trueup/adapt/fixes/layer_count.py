"""The config counts its layers under the library's name too."""

from __future__ import annotations

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

LIBRARY_NAME = "num_hidden_layers"
OWN_NAMES = ("num_layers", "n_layer", "n_layers", "num_hidden_layer", "depth")


def _own_name(facts: FixFacts) -> str | None:
    code = facts.code
    if code.config is None or code.assigns(code.config, LIBRARY_NAME):
        return None
    if code.assigns(code.config, "attribute_map"):
        return None
    method = code.method(code.config, "__init__")
    if method is None:
        return None
    taken = {each.arg for each in (*method.node.args.args, *method.node.args.kwonlyargs)}
    return next((name for name in OWN_NAMES if name in taken), None)


class LayerCount(Fix):
    """`generate` sizes its cache by `config.num_hidden_layers`, and the config has another name.

    Since 4.56: `object has no attribute 'num_hidden_layers'`.
    """

    name = "layer-count"
    answers = ("CFG101",)
    does = "`num_hidden_layers` of the config reads the model's own name for it"
    since = "4.56.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the config counts layers under another name alone."""
        return _own_name(facts) is not None

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Give the config's class the library's map of names."""
        name, owner = _own_name(facts), facts.code.config
        if name is not None and owner is not None:
            sources.add_member(owner, f'attribute_map = {{"{LIBRARY_NAME}": "{name}"}}\n')
