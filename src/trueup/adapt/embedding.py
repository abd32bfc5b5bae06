"""How a checkpoint's hidden states become one vector: read from its own settings, or chosen. Pure.

The settings are those that Sentence Transformers writes; a checkpoint without them gets the
field's defaults and a caveat that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueup.adapt.native import NATIVE
from trueup.adapt.native.family import Refusal, whole_number
from trueup.adapt.plan import Caveat, EmbeddingPlan, Pooling
from trueup.adapt.sizes import HIDDEN, context_tokens, first_number
from trueup.adapt.wishes import Wishes
from trueup.checkpoint.checkpoint import Checkpoint, SentenceModule
from trueup.environment.environment import Environment

CAUSAL_ENDINGS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
GENERATING_AUTO_CLASSES = frozenset({"AutoModelForCausalLM", "AutoModelForSeq2SeqLM"})
PRETRAINING_ENDINGS = ("ForMaskedLM", "ForPreTraining")
KNOWN_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
# Sentence Transformers' words, of its configs before and since 5.x.
POOLING_MODES: dict[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
POOLING_KEYS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
# These count positions from the padding id on: so many places fewer than the config says.
OFFSET_POSITIONS = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "xmod",
     "data2vec-text", "mpnet", "ibert", "luke", "longformer", "esm"}
)  # fmt: skip
DEFAULT_PAD_ID = 1
# A tokenizer without a limit of its own says a number like 1e30.
SENSIBLE_TOKENS = 2**31
NO_POOLING_TEXT = (
    "the checkpoint does not say how its hidden states become one vector: the mean over the "
    "tokens is used, of length 1; `pooling` and `normalize` of a configuration choose otherwise"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingFacts:
    """The embedding part of a plan, and what to say about it."""

    plan: EmbeddingPlan
    context_tokens: int | None
    why: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def is_embedding(checkpoint: Checkpoint, environment: Environment, kind: str) -> bool:
    """Whether the checkpoint is to be run as an embedding model; `kind` is the user's wish.

    1. A wish decides. 2. So does a list of Sentence Transformers' modules. 3. A family that is
    mapped, or code of its own with a class for generating, generates. 4. So does a class with a
    language model head that config.json names; any other does not. 5. Without a name the library
    decides: what has no class with such a head embeds.
    """
    if kind != "auto":  # 1
        return kind == "embedding"
    if checkpoint.sentence.is_present:  # 2
        return True
    if any(family.recognise(checkpoint) for family in NATIVE):  # 3
        return False
    if GENERATING_AUTO_CLASSES & set(checkpoint.auto_map) or not checkpoint.config:
        return False
    if checkpoint.architectures:  # 4
        return not checkpoint.architectures[0].endswith(CAUSAL_ENDINGS)
    models = environment.library_models
    return checkpoint.model_type in models and models[checkpoint.model_type or ""] is None  # 5


def implementation(checkpoint: Checkpoint, environment: Environment) -> str | None:
    """The class without a head; None where the library has none.

    A version that is only assumed is taken to name it as the checkpoint does.
    """
    if environment.is_assumed:
        named = [name for name in checkpoint.architectures if name.endswith("Model")]
        return named[0] if named else None
    return environment.library_bases.get(checkpoint.model_type or "")


def embedding_facts(checkpoint: Checkpoint, wishes: Wishes) -> EmbeddingFacts:
    """Pooling, normalisation, prompts and the longest input."""
    refusals = list(_refusals(checkpoint))
    stated = _stated_pooling(checkpoint)
    asked = next((each for each in POOLING_MODES.values() if each == wishes.pooling), None)
    if stated is not None and not isinstance(stated, str):
        if asked is None:
            refusals.append(stated)
        stated = None
    pooling: Pooling = asked or stated or "mean"
    settings = checkpoint.sentence.settings
    prompts = _prompts(settings)
    default_prompt = settings.get("default_prompt_name")
    return EmbeddingFacts(
        plan=EmbeddingPlan(
            pooling=pooling,
            normalize=_normalize(checkpoint, wishes),
            dimensions=first_number(checkpoint.config, HIDDEN) or 0,
            lower_case=checkpoint.sentence.transformer.get("do_lower_case") is True,
            prompts=prompts,
            default_prompt=default_prompt if default_prompt in prompts else None,
        ),
        context_tokens=_context_tokens(checkpoint),
        why=(_pooling_words(pooling, asked, stated),),
        caveats=(*_caveats(asked, stated), *_head_caveats(checkpoint)),
        refusals=tuple(refusals),
    )


def _pooling_words(pooling: Pooling, asked: str | None, stated: str | None) -> str:
    source = "as asked for" if asked else "the model's own settings" if stated else "the default"
    words = {"mean": "the mean over the tokens", "cls": "the first token", "last": "the last token"}
    return f"pooled by {words[pooling]} ({source})"


def _caveats(asked: str | None, stated: str | None) -> tuple[Caveat, ...]:
    if stated is None and asked is None:
        return (Caveat(code="POOLING", text=NO_POOLING_TEXT),)
    if stated is not None and asked not in (None, stated):
        text = f"the model was published with pooling `{stated}`, and `{asked}` was asked for"
        return (Caveat(code="POOLING", text=text),)
    return ()


def _head_caveats(checkpoint: Checkpoint) -> tuple[Caveat, ...]:
    """Told where a checkpoint was trained for something else than embeddings."""
    name = checkpoint.architectures[0] if checkpoint.architectures else ""
    if "For" not in name or name.endswith(PRETRAINING_ENDINGS):
        return ()
    text = f"config.json names `{name}`: its head is left out, and what is below it is embedded"
    return (Caveat(code="HEAD", text=text),)


def _normalize(checkpoint: Checkpoint, wishes: Wishes) -> bool:
    if wishes.normalize is not None:
        return wishes.normalize
    modules = checkpoint.sentence.modules
    return not modules or any(module.type == "Normalize" for module in modules)


def _refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    found = []
    if checkpoint.config.get("is_encoder_decoder") is True:
        reason = "models of an encoder and a decoder are not embedded by this version"
        found.append(Refusal(reason=reason, key="is_encoder_decoder"))
    for module in checkpoint.sentence.modules:
        if module.type not in KNOWN_MODULES:
            reason = f"modules.json has a `{module.type}`, which this version does not compute"
            found.append(Refusal(reason=reason))
    return tuple(found)


def _stated_pooling(checkpoint: Checkpoint) -> Pooling | Refusal | None:
    """What the checkpoint's own pooling module says."""
    module = next((each for each in checkpoint.sentence.modules if each.type == "Pooling"), None)
    if module is None:
        return None
    modes = _modes(module)
    if len(modes) != 1 or modes[0] not in POOLING_MODES:
        shown = " and ".join(f"`{mode}`" for mode in modes) or "no mode"
        known = ", ".join(f"`{mode}`" for mode in POOLING_MODES)
        return Refusal(
            reason=f"{module.path}/config.json pools by {shown}; this version computes one of "
            f"{known}"
        )
    if module.config.get("include_prompt") is False and _prompts(checkpoint.sentence.settings):
        reason = f"{module.path}/config.json leaves prompts out of the pooling (`include_prompt`)"
        return Refusal(reason=f"{reason}, which this version does not")
    return POOLING_MODES[modes[0]]


def _modes(module: SentenceModule) -> list[str]:
    stated = module.config.get("pooling_mode")
    if isinstance(stated, str):
        return [stated]
    if isinstance(stated, list):
        return [str(mode) for mode in stated]
    words = {pooling: word for word, pooling in POOLING_MODES.items()}
    return [
        words[POOLING_KEYS[key]] if key in POOLING_KEYS else key.removeprefix("pooling_mode_")
        for key, value in module.config.items()
        if key.startswith("pooling_mode_") and value is True
    ]


def _prompts(settings: Mapping[str, Any]) -> dict[str, str]:
    prompts = settings.get("prompts")
    if not isinstance(prompts, dict):
        return {}
    return {str(name): text for name, text in prompts.items() if isinstance(text, str) and text}


def _context_tokens(checkpoint: Checkpoint) -> int | None:
    """The longest input with its special tokens: the smallest of the limits that are stated."""
    positions = context_tokens(checkpoint)
    if positions is not None and checkpoint.model_type in OFFSET_POSITIONS:
        pad_id = checkpoint.config.get("pad_token_id")
        positions -= (pad_id if isinstance(pad_id, int) else DEFAULT_PAD_ID) + 1
    limits = (
        positions,
        whole_number(checkpoint.sentence.transformer, "max_seq_length"),
        whole_number(checkpoint.tokenizer_config, "model_max_length"),
    )
    known = [limit for limit in limits if limit is not None and 0 < limit < SENSIBLE_TOKENS]
    return min(known, default=None)
