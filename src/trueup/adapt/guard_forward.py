"""A few tokens through a loaded model: finite, not constant, the same by every way to compute it.

One way is quick: two rows, of which one is padded and goes on by its cache, must agree. Where
they do not, each of the ways is tried alone, and only what fails by itself is a fault.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trueup.adapt.foreign import error_line
from trueup.adapt.guard_fault import FORWARD, Fault
from trueup.adapt.guard_passes import (
    NEXT_TOKENS,
    PROMPT_TOKENS,
    Forward,
    pad_id,
    sample_ids,
    shortened,
)
from trueup.adapt.key_value_cache import steps_by_cache

if TYPE_CHECKING:
    import torch

# Weights of layers that a forward pass may read: what is more goes without its later layers.
FORWARD_BYTES = 32 * 1024**2


def check_forward(
    model: Any,
    token_ids: Sequence[int] | None = None,
    *,
    is_own_code: bool = False,
    forward_bytes: int | None = FORWARD_BYTES,
) -> tuple[Fault, ...]:
    """What is wrong with the numbers that `model` computes from a few tokens.

    Logits must be finite and not constant; two passes, passes with and without a cache, and a
    padded and an unpadded row must agree within the bar of the dtype. `token_ids` are six or
    more, or chosen here. What is served by `generate` (a model's own code, and what keeps more
    than keys and values) is compared with what that draws instead of by rows. With
    `forward_bytes` a larger model of the library's goes without its later layers and most of its
    vocabulary.
    """
    import torch

    ids = list(token_ids or sample_ids(model))
    with torch.no_grad(), _one_thread(), shortened(model, None if is_own_code else forward_bytes):
        forward = Forward(model)
        if _is_encoder(forward):
            return _encoder_faults(forward, ids)
        if is_own_code or not steps_by_cache(model):
            return _generate_faults(forward, ids)
        return _causal_faults(forward, ids)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A few tokens are too little to share: threads that wait for each other cost far more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _causal_faults(forward: Forward, ids: list[int]) -> tuple[Fault, ...]:
    prompt, following = ids[:PROMPT_TOKENS], ids[PROMPT_TOKENS:]
    if forward.masks_padding:
        with contextlib.suppress(Exception):  # below each way is tried by itself
            plain, resumed = _both_rows(forward, prompt, following)
            if (
                not _numbers_faults(plain)
                and _distance(plain, resumed, forward.model.dtype) <= forward.bar
            ):
                return ()
    return _each_way(forward, prompt, following)


def _both_rows(
    forward: Forward, prompt: list[int], following: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of `following` without, and with padding and a cache."""
    pads = len(following)
    whole = prompt + following
    numbers, cache = forward.rows([whole, [whole[0]] * pads + prompt], (0, pads), use_cache=True)
    plain = numbers[0, -pads:]
    later, _ = forward.rows(
        [following, following], (0, pads), cache, seen=len(whole), use_cache=True
    )
    return plain, later[1]


def _each_way(forward: Forward, prompt: list[int], following: list[int]) -> tuple[Fault, ...]:
    whole, pads = prompt + following, len(following)
    try:
        plain = forward.rows([whole])[0][0, -pads:]
        again = forward.rows([whole])[0][0, -pads:]
    except Exception as error:  # whatever a class raises
        return (_stopped(error),)
    faults = _numbers_faults(plain) or _ways_differ(forward, plain, again, "a second pass")
    if faults:
        return faults
    return (
        *_cache_faults(forward, prompt, following, plain),
        *_padding_faults(forward, whole, plain),
    )


def _cache_faults(
    forward: Forward, prompt: list[int], following: list[int], plain: torch.Tensor
) -> tuple[Fault, ...]:
    try:
        _, cache = forward.rows([prompt], use_cache=True)
        resumed, _ = forward.rows([following], (), cache, seen=len(prompt), use_cache=True)
    except Exception as error:  # whatever a class raises
        return (_stopped(error),)
    return _ways_differ(forward, plain, resumed[0], "going on with the cache")


def _padding_faults(forward: Forward, whole: list[int], plain: torch.Tensor) -> Iterator[Fault]:
    if not forward.masks_padding:
        return
    pads = NEXT_TOKENS
    try:
        padded = forward.rows([[whole[0]] * pads + whole], (pads,))[0][0, -len(plain) :]
    except Exception as error:
        yield _stopped(error)
        return
    yield from _ways_differ(forward, plain, padded, "a left-padded row")


def _encoder_faults(forward: Forward, ids: list[int]) -> tuple[Fault, ...]:
    """Right-padded rows, as texts of several lengths are embedded together."""
    import torch

    short = ids[:PROMPT_TOKENS]
    device = forward.model.device
    padded = short + [pad_id(forward.model)] * (len(ids) - len(short))
    mask = torch.ones(2, len(ids), dtype=torch.long, device=device)
    mask[0, len(short) :] = 0
    try:
        arguments = {"attention_mask": mask, "return_dict": True}
        known = {name: value for name, value in arguments.items() if name in forward.known}
        output = forward.model(input_ids=torch.tensor([padded, ids], device=device), **known)
        together = output[0].float()
        alone = forward.model(input_ids=torch.tensor([short], device=device))[0].float()[0]
    except Exception as error:  # whatever a class raises
        return (_stopped(error),)
    faults = _numbers_faults(together[1]) or _numbers_faults(alone)
    if not faults and forward.masks_padding:
        return _ways_differ(forward, alone, together[0, : len(short)], "a padded row")
    return faults


def _generate_faults(forward: Forward, ids: list[int]) -> tuple[Fault, ...]:
    """What `generate` draws with the cache, against passes over all tokens at once."""
    import torch
    from transformers import GenerationConfig

    model = forward.model
    tokens = torch.tensor([ids], device=model.device)
    settings = GenerationConfig(
        max_new_tokens=NEXT_TOKENS,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        use_cache=True,
        output_scores=True,
        return_dict_in_generate=True,
    )
    try:
        with _generation_config(model, settings):
            drawn = model.generate(
                tokens, attention_mask=torch.ones_like(tokens), generation_config=settings
            )
        whole = drawn.sequences[:, :-1]
        plain = model(input_ids=whole)[0].float()[0, len(ids) - 1 :]
        again = model(input_ids=whole)[0].float()[0, len(ids) - 1 :]
    except Exception as error:  # whatever a model's own code raises
        return (_stopped(error),)
    faults = _numbers_faults(plain) or _ways_differ(forward, plain, again, "a second pass")
    if not faults:
        scores = torch.cat([each[:1] for each in drawn.scores]).float()
        return _ways_differ(forward, plain, scores, "going on with the cache")
    return faults


@contextlib.contextmanager
def _generation_config(model: Any, settings: Any) -> Iterator[None]:
    """What is not set in `settings` would be taken from the model's own."""
    before = model.generation_config
    model.generation_config = settings
    try:
        yield
    finally:
        model.generation_config = before


def _numbers_faults(numbers: torch.Tensor) -> tuple[Fault, ...]:
    import torch

    is_finite = torch.isfinite(numbers)
    if not bool(is_finite.all()):
        share = 1 - float(is_finite.float().mean())
        what = f"{share:.0%} of them are not finite"
        return (Fault(code=FORWARD, name="the output of a forward pass", what=what, amount=share),)
    if bool((numbers == numbers[..., :1]).all()):
        what = "all numbers of it are the same"
        return (Fault(code=FORWARD, name="the output of a forward pass", what=what, amount=0.0),)
    return ()


def _ways_differ(
    forward: Forward, plain: torch.Tensor, other: torch.Tensor, way: str
) -> tuple[Fault, ...]:
    distance = _distance(plain, other, forward.model.dtype)
    if distance <= forward.bar:
        return ()
    what = (
        f"is off from the plain pass by {distance:.2g} of its size, "
        f"{forward.bar:.2g} is allowed in {forward.model.dtype}"
    )
    return (Fault(code=FORWARD, name=way, what=what, amount=distance),)


def _distance(plain: torch.Tensor, other: torch.Tensor, dtype: torch.dtype) -> float:
    """The farthest token; in 16 bits the nearest half: a router that tips over moves a few."""
    import torch

    centred = plain - plain.mean(-1, keepdim=True)
    size = centred.norm(dim=-1).clamp(min=torch.finfo(torch.float32).tiny)
    distance = ((other - plain).norm(dim=-1) / size).nan_to_num(nan=float("inf"))
    return float(distance.max() if dtype == torch.float32 else distance.median())


def _stopped(error: Exception) -> Fault:
    what = f"stopped at `{type(error).__name__}: {error_line(error)}`"
    return Fault(code=FORWARD, name="a short forward pass", what=what)


def _is_encoder(forward: Forward) -> bool:
    return not hasattr(forward.model, "lm_head") and (forward.model.get_output_embeddings() is None)
