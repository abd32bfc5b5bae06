"""Tensors too many or too few for a mapped layout, by the names in the headers of its files. Pure.

What only a loaded class can tell (shapes, a bias that no layer has) is told by the load.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from trueup.adapt.native.family import NativeFamily, Refusal
from trueup.checkpoint.checkpoint import Checkpoint

SHOWN_NAMES = 3
# No model has more; a config may say anything.
MOST_LAYERS = 10_000
LAYERS, TIED = "num_hidden_layers", "tie_word_embeddings"
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
_OUTSIDE = ("model.embed_tokens.weight", "model.norm.weight")
_HEAD = "lm_head.weight"


def name_refusals(family: NativeFamily, checkpoint: Checkpoint, major: int) -> tuple[Refusal, ...]:
    """Names that the layout does not have, and names that a layer lacks and others have.

    The config has no refusals. Nothing is said where names cannot be known without unpickling.
    """
    names = checkpoint.weights.tensors
    if not names:
        return ()
    config = family.map_config(checkpoint, major)
    parts = family.map_tensor(checkpoint)
    targets = {name: parts(name) for name in names}
    extra = [name for name, found in targets.items() if found is None]
    there: set[str] = set()
    inner: set[str] = set()
    for name, found in targets.items():
        for part in found or ():
            there.add(part.target)
            layer = _LAYER.fullmatch(part.target)
            if layer is not None and int(layer[1]) >= config[LAYERS]:
                extra.append(name)
                break
            if layer is not None:
                inner.add(layer[2])
    if not there or config[LAYERS] > MOST_LAYERS:
        return ()  # of another layout altogether, or of a count that the doctor refuses
    wanted = [*_OUTSIDE, *(() if config.get(TIED) else (_HEAD,))]
    wanted += [
        f"model.layers.{number}.{name}"
        for number in range(config[LAYERS])
        for name in sorted(inner)
    ]
    missing = [name for name in wanted if name not in there]
    return (
        *_refusal(extra, "the weight files hold, and its layout does not have,"),
        *_refusal(missing, "the weight files lack"),
    )


def _refusal(names: list[str], reason: str) -> Iterable[Refusal]:
    if names:
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        listing = ", ".join(f"`{name}`" for name in names[:SHOWN_NAMES])
        yield Refusal(reason=f"{reason} {listing}{more}")
