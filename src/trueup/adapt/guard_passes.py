"""Forward passes of a few tokens: how a class is called, by what it knows."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trueup.adapt.key_value_cache import CACHE_ARGUMENT, key_value_cache

if TYPE_CHECKING:
    import torch

PROMPT_TOKENS = 4
NEXT_TOKENS = 2
# The length of the difference over the length of the logits, each about its mean.
BARS = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.25}
# Of what is shortened, so much stays.
LEAST_LAYERS = 1
HEAD_ROWS = 1024
# What these compute of a token depends on how long its row is.
BY_LENGTH = frozenset({"nystromformer"})


class Forward:
    """Calls a model with the arguments that it knows."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.known = inspect.signature(model.forward).parameters
        self.bar = BARS.get(str(model.dtype).removeprefix("torch."), BARS["bfloat16"])

    @property
    def masks_padding(self) -> bool:
        """Whether padding is to change nothing: convolutions and recurrences see it."""
        import torch

        return (
            "attention_mask" in self.known
            and self.model.config.model_type not in BY_LENGTH
            and not any(isinstance(each, torch.nn.Conv1d) for each in self.model.modules())
        )

    def rows(
        self,
        ids: Sequence[Sequence[int]],
        pads: Sequence[int] = (),
        cache: Any = None,
        seen: int = 0,
        *,
        use_cache: bool = False,
    ) -> tuple[torch.Tensor, Any]:
        """Logits [rows, tokens, vocabulary] in fp32, and the cache.

        `pads` says how many of each row are padding at its start; `seen` is how many tokens each
        row has in the cache.
        """
        import torch

        device = self.model.device
        tokens = torch.tensor(ids, device=device)
        total = seen + tokens.shape[1]
        starts = torch.tensor(pads or [0] * len(ids), device=device)[:, None]
        places = torch.arange(total, device=device)[None] - starts
        arguments: dict[str, Any] = {
            "attention_mask": (places >= 0).long(),
            "position_ids": places.clamp(min=0)[:, seen:],
            "use_cache": use_cache,
            "return_dict": True,
        }
        if use_cache:
            arguments[CACHE_ARGUMENT] = key_value_cache(self.model) if cache is None else cache
        if cache is not None and "cache_position" in self.known:
            arguments["cache_position"] = torch.arange(seen, total, device=device)
        known = {name: value for name, value in arguments.items() if name in self.known}
        output = self.model(input_ids=tokens, **known)
        numbers = output[0] if not hasattr(output, "logits") else output.logits
        return numbers.float(), arguments.get(CACHE_ARGUMENT)


def sample_ids(model: Any) -> list[int]:
    """Ids from all over the vocabulary, none of them special to the model."""
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    special = {
        value
        for name, value in vars(model.config).items()
        if name.endswith("_token_id") and isinstance(value, int)
    }
    step = max(1, vocabulary // (PROMPT_TOKENS + NEXT_TOKENS + 3))
    found = [each for each in range(vocabulary - 1, -1, -step) if each not in special]
    return (found * (PROMPT_TOKENS + NEXT_TOKENS))[: PROMPT_TOKENS + NEXT_TOKENS]


def pad_id(model: Any) -> int:
    """The id that texts are padded with."""
    value = getattr(model.config, "pad_token_id", None)
    return value if isinstance(value, int) else 0


@contextlib.contextmanager
def shortened(model: Any, forward_bytes: int | None) -> Iterator[None]:
    """Leave out layers beyond `forward_bytes`, but for the first, and most of the vocabulary.

    None leaves the model whole.
    """
    changes = [] if forward_bytes is None else [*_fewer(model, forward_bytes), *_narrower(model)]
    for owner, name, _, replacement in changes:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, name, original, _ in changes:
            setattr(owner, name, original)


def _fewer(model: Any, forward_bytes: int) -> Iterator[tuple[Any, str, Any, Any]]:
    import torch

    place = _layers(model)
    if place is None:
        return
    owner, name, layers = place
    kept = used = 0
    for layer in layers:
        used += sum(each.nbytes for each in layer.parameters())
        if kept >= LEAST_LAYERS and used > forward_bytes:
            break
        kept += 1
    if kept < len(layers):
        yield owner, name, layers, torch.nn.ModuleList(list(layers)[:kept])


def _narrower(model: Any) -> Iterator[tuple[Any, str, Any, Any]]:
    """A plain head over the first words of the vocabulary, which shares their memory."""
    import torch

    head = model.get_output_embeddings()
    places = [
        (module, name)
        for module in model.modules()
        for name, child in module._modules.items()
        if child is head
    ]
    if type(head) is not torch.nn.Linear or len(places) != 1 or len(head.weight) <= HEAD_ROWS:
        return
    narrow = torch.nn.Linear(head.in_features, HEAD_ROWS, bias=False, device="meta").eval()
    for name, parameter in head._parameters.items():
        if parameter is not None:
            few = torch.nn.Parameter(parameter[:HEAD_ROWS], requires_grad=False)
            narrow.register_parameter(name, few)
    yield (*places[0], head, narrow)


def _layers(model: Any) -> tuple[Any, str, Any] | None:
    """The one list of all layers: its owner, its name there and itself."""
    import torch

    depth = getattr(model.config, "num_hidden_layers", None)
    found = [
        (module, name, child)
        for module in model.modules()
        for name, child in module.named_children()
        if isinstance(child, torch.nn.ModuleList) and len(child) == depth
    ]
    return found[0] if len(found) == 1 else None
