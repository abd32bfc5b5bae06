"""Carries out a plan: a model and a tokenizer in this process.

With `load_*.py` the only code that reads weights or calls `from_pretrained`. Imports torch and
transformers at the first load. A worker calls `load_plan`, a user's own process `load` of
`own_process.py`.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueup.adapt.chat import EncodeChat, chat_encoder
from trueup.adapt.guard import guard
from trueup.adapt.native import NATIVE
from trueup.adapt.native.family import NativeFamily
from trueup.adapt.placement import NARROWER_HINT
from trueup.adapt.plan import Plan
from trueup.adapt.planned_files import unchanged
from trueup.adapt.wishes import INT8
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError, CapacityError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trueup.adapt.load_own import Build

NATIVE_ROUTE = "native"
# Routes on which the model's own code runs.
ISOLATED_ROUTE = "isolated"
OWN_ROUTES = ("fixed", ISOLATED_ROUTE)
LIBRARY = "transformers."

# Is handed a model that is loaded and has run nothing yet.
Inspect = Callable[[Any], None]

SHORT_CHAT = ({"role": "user", "content": "What is 1 + 2?"},)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model in evaluation mode, its tokenizer and what ends an answer.

    `context_tokens` is the longest sequence that the model was made for, None where unknown;
    `answers_after_space` says that white space at the start of an answer is chat format.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    plan: Plan
    stop_token_ids: tuple[int, ...]
    context_tokens: int | None
    encode_chat: EncodeChat
    answers_after_space: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedEncoder:
    """A model without a head in evaluation mode, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    plan: Plan


def mapped_family(plan: Plan) -> NativeFamily | None:
    """The family whose layout the plan maps; None for a model of the library's own.

    The name alone does not tell: the library has a type `glm4` of its own.
    """
    return next((each for each in NATIVE if plan.mapped and each.name == plan.family), None)


def runs_own_code(plan: Plan) -> bool:
    """Whether the model's own classes are run, not the library's."""
    return plan.route in OWN_ROUTES and not (plan.implementation or "").startswith(LIBRARY)


def load_plan(
    plan: Plan,
    progress: Callable[[float], None] | None = None,
    *,
    inspect: Inspect = lambda _: None,
    build: Build | None = None,
) -> Loaded:
    """Load what `plan` describes; `progress` is told the share of the weights that is in place.

    Blocks until the model is ready. `inspect` is handed the model before its first forward pass.
    With `build`, which builds classes without weights, all is done but for what needs weights:
    filling, moving to the device and guards. So a proof goes through it layer by layer.

    Raises: AdaptError where the plan is refused or the files changed since it was made;
    CheckpointError for files that cannot be read; CapacityError where memory runs out.
    """
    checkpoint = _read_again(plan)
    family = mapped_family(plan)
    speech = family.speech if family is not None else None
    with memory_told(plan):
        if plan.kind == "embedding":
            from trueup.adapt.load_library import load_encoder

            model, tokenizer = load_encoder(
                checkpoint, plan, dtype=torch_dtype(plan), progress=progress
            )
            stops: tuple[int, ...] = ()
        elif runs_own_code(plan):
            return _load_own(checkpoint, plan, progress, inspect, build)
        elif family is not None:
            from trueup.adapt.load_native import load_native

            model, tokenizer, stops = load_native(
                family, checkpoint, plan, progress, is_filled=build is None
            )
        else:
            from trueup.adapt.load_library import load_library

            model, tokenizer, stops = load_library(checkpoint, plan, progress, build)
        model.eval()
        model.requires_grad_(False)
        inspect(model)
        if build is None:
            guard(
                model,
                checkpoint,
                plan,
                dtype=torch_dtype(plan),
                map_tensor=family.map_tensor(checkpoint) if family is not None else None,
            )
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        plan=plan,
        stop_token_ids=stops,
        context_tokens=plan.context_tokens,
        encode_chat=chat_encoder(tokenizer, checkpoint, speech),
        answers_after_space=speech is not None and speech.answers_after_space,
    )


def _load_own(
    checkpoint: Checkpoint,
    plan: Plan,
    progress: Callable[[float], None] | None,
    inspect: Inspect,
    build: Build | None,
) -> Loaded:
    from trueup.adapt.chat_own import own_chat
    from trueup.adapt.load_own import load_own

    model, tokenizer, stops = load_own(checkpoint, plan, progress, build)
    model.requires_grad_(False)
    inspect(model)
    chat = own_chat(model, tokenizer, checkpoint)
    if build is None:
        guard(
            model,
            checkpoint,
            plan,
            dtype=plan.dtype,
            is_own_code=True,
            token_ids=_prompt(chat.encode, tokenizer),
        )
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        plan=plan,
        stop_token_ids=tuple(dict.fromkeys((*stops, *chat.stop_token_ids))),
        context_tokens=plan.context_tokens,
        encode_chat=chat.encode,
        answers_after_space=_answers_after_space(plan.family),
    )


def _answers_after_space(family: str | None) -> bool:
    """Whether the chat format of a layout, run by its own code, ends its role line itself."""
    spoken = (each.speech for each in NATIVE if each.name == family)
    return any(speech is not None and speech.answers_after_space for speech in spoken)


def _prompt(encode: EncodeChat, tokenizer: Any) -> list[int] | None:
    """A prompt as the model is asked by: its own code may look for certain tokens in it."""
    for write in (
        lambda: encode(SHORT_CHAT),
        lambda: tokenizer(SHORT_CHAT[0]["content"]).input_ids,
    ):
        with contextlib.suppress(Exception):  # no format for chats, or whatever its code raises
            return list(write())
    return None


def load_encoder_plan(
    plan: Plan,
    progress: Callable[[float], None] | None = None,
    *,
    dtype: str,
    inspect: Inspect = lambda _: None,
) -> LoadedEncoder:
    """Load the model of an embedding plan in `dtype`, which need not be the plan's.

    Blocks until the model is ready. `inspect` as in `load_plan`.

    Raises: as `load_plan`.
    """
    from trueup.adapt.load_library import load_encoder

    checkpoint = _read_again(plan)
    with memory_told(plan):
        model, tokenizer = load_encoder(checkpoint, plan, dtype=dtype, progress=progress)
        model.eval()
        model.requires_grad_(False)
        inspect(model)
        guard(model, checkpoint, plan, dtype=dtype)
    return LoadedEncoder(model=model, tokenizer=tokenizer, plan=plan)


def torch_dtype(plan: Plan) -> str:
    """The dtype that torch loads a plan in: int8 is made from fp32."""
    return "float32" if plan.dtype == INT8 else plan.dtype


@contextlib.contextmanager
def memory_told(plan: Plan) -> Iterator[None]:
    """Say so where memory runs out in the block, which loads `plan`.

    Raises: CapacityError then.
    """
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise CapacityError(
            f"the memory of `{plan.device}` ran out while loading: the weights need "
            f"{plan.memory.weights_bytes} bytes",
            where=plan.model.directory,
            hint="stop other programs that hold memory"
            + (f", or {NARROWER_HINT}" if plan.dtype == "float32" else ""),
        ) from error


def _read_again(plan: Plan) -> Checkpoint:
    if plan.route not in (NATIVE_ROUTE, *OWN_ROUTES):
        raise AdaptError(_refusal(plan), where=plan.model.directory, hint=_hint(plan))
    if plan.kind == "forecast":
        raise AdaptError(
            f"`{plan.model.id}` forecasts candles, and is no model of transformers",
            where=plan.model.directory,
            hint="`trueup.kronos.Kronos.from_pretrained` loads it, `trueup.forecast` asks it",
        )
    return unchanged(plan.model)


def _refusal(plan: Plan) -> str:
    if plan.route == "refused":
        return "; ".join(plan.why) or "the plan is refused"
    return f"the route `{plan.route}` is not part of this version of TrueUp"


def _hint(plan: Plan) -> str:
    return f"trueup plan {shlex.quote(plan.model.source)}"
