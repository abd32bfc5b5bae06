"""The cache that a model of the library is stepped with, and which models cannot be so stepped.

Recurrent, convolving and indexing layers keep more of the past than keys and values. Each release
steps each kind of them in its own way: some take one token at a time after the first ones, some
start anew, some know their cache by another name, all without an error. What answers rightly with
all of them is their own `generate`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import DynamicCache

CACHE_ARGUMENT = "past_key_values"
# Keys and values of all tokens, or of the last ones: exact however many tokens come at a time.
PLAIN_LAYERS = ("DynamicLayer", "DynamicSlidingWindowLayer")
WINDOW_MASKS = ("create_sliding_window_causal_mask", "create_chunked_causal_mask")


def steps_by_cache(model: Any) -> bool:
    """Whether keys and values are all that `model` keeps of the tokens before.

    Such a model computes the same whether tokens come at once, in pieces or one by one.
    """
    takes_cache = getattr(model, "_supports_default_dynamic_cache", None)
    if takes_cache is None or not takes_cache() or getattr(model, "_is_stateful", False):
        return False  # releases before 4.41 do not say
    if CACHE_ARGUMENT not in inspect.signature(model.forward).parameters:
        return False
    from transformers import DynamicCache

    layers = DynamicCache(config=_config(model)).layers
    return all(type(layer).__name__ in PLAIN_LAYERS for layer in layers)


def key_value_cache(model: Any) -> DynamicCache:
    """An empty cache for one batch of a model that `steps_by_cache`.

    A window counts only where the model's masks know of it: the library's cache goes by the
    config, so it forgets by a stray key also what the layers look back on.
    """
    from transformers import DynamicCache

    module = inspect.getmodule(type(model))
    if any(hasattr(module, name) for name in WINDOW_MASKS):
        return DynamicCache(config=_config(model))
    return DynamicCache()


def _config(model: Any) -> Any:
    return model.config.get_text_config(decoder=True)
