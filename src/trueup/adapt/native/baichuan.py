"""Baichuan-7B and Baichuan2-7B, run as the library's `LlamaForCausalLM`.

The 13B models share their names and have ALiBi instead of rope: the shipped code tells which it
is, and whether the head has rows of unit length (Baichuan2). No class of the library has ALiBi
in this layout, so those are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.native.family import NativeFamily, Part, Refusal, Speech, whole_number
from trueup.adapt.native.llama_code import read_code
from trueup.adapt.native.llama_layout import (
    Rope,
    code_refusals,
    is_tied,
    llama_config,
    shared_refusals,
    sizes_line,
)
from trueup.adapt.native.piece_chat import encode_reserved, read_turns
from trueup.adapt.native.piece_templates import reserved_template
from trueup.adapt.native.piece_tokenizer import adds_begin, build_piece_tokenizer
from trueup.adapt.plan import Caveat
from trueup.checkpoint.checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CLASSES = ("BaichuanForCausalLM", "BaiChuanForCausalLM")
ROLE_KEYS = ("user_token_id", "assistant_token_id")
HEAD = "lm_head.weight"
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
_PACKED = "self_attn.W_pack.weight"
_FREQUENCIES = "self_attn.rotary_emb.inv_freq"
_IN_LAYER = frozenset(
    (
        "input_layernorm.weight",
        "post_attention_layernorm.weight",
        "self_attn.o_proj.weight",
        "mlp.gate_proj.weight",
        "mlp.up_proj.weight",
        "mlp.down_proj.weight",
    )
)
_OUTSIDE_LAYERS = frozenset(("model.embed_tokens.weight", "model.norm.weight"))


def _is_baichuan(checkpoint: Checkpoint) -> bool:
    if checkpoint.model_type is None:
        return bool(set(checkpoint.architectures) & set(CLASSES))
    return checkpoint.model_type == "baichuan"


def _has_roles(checkpoint: Checkpoint) -> bool:
    """Whether generation_config.json names the reserved tokens that open a turn."""
    return all(whole_number(checkpoint.generation_config, key) for key in ROLE_KEYS)


def _recognise(*, has_alibi: bool, has_roles: bool | None = None) -> Callable[[Checkpoint], bool]:
    def recognise(checkpoint: Checkpoint) -> bool:
        if not _is_baichuan(checkpoint) or read_code(checkpoint).has_alibi != has_alibi:
            return False
        return has_roles is None or _has_roles(checkpoint) == has_roles

    return recognise


def _refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    found = [*shared_refusals(checkpoint, CLASSES), *code_refusals(checkpoint)]
    if is_tied(checkpoint) and read_code(checkpoint).has_unit_rows:
        reason = "the head has rows of unit length, so it cannot be the embedding as well"
        found.append(Refusal(reason=reason, key="tie_word_embeddings"))
    given = read_code(checkpoint).given_base
    if isinstance(given, str):
        reason = f"the shipped code gives its rope the base `{given}`, which is not understood"
        found.append(Refusal(reason=reason))
    rows = whole_number(checkpoint.config, "vocab_size") or 0
    for key in ROLE_KEYS:
        number = whole_number(checkpoint.generation_config, key) or 0
        if _has_roles(checkpoint) and number >= rows:
            reason = f"`{number}` in generation_config.json is beyond the vocabulary's {rows}"
            found.append(Refusal(reason=reason, key=key))
    return tuple(found)


def _alibi_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    reason = (
        "the shipped code has ALiBi positions, as Baichuan's 13B models have, which no class of "
        "transformers has in this layout; the 7B models, which have rope, run natively"
    )
    return (Refusal(reason=reason),)


def _rope_base(checkpoint: Checkpoint) -> float:
    code = read_code(checkpoint)
    return code.given_base if isinstance(code.given_base, float) else code.rope_base or 0.0


def _map_config(checkpoint: Checkpoint, major: int) -> dict[str, Any]:
    rope = Rope(base=_rope_base(checkpoint))
    return llama_config(checkpoint, major, rope, has_bias=False)


def _map_tensor(checkpoint: Checkpoint) -> Callable[[str], tuple[Part, ...] | None]:
    hidden: int = checkpoint.config["hidden_size"]
    has_unit_rows = read_code(checkpoint).has_unit_rows
    tied = is_tied(checkpoint)

    def parts(name: str) -> tuple[Part, ...] | None:
        if name == HEAD:
            return () if tied else (Part(target=HEAD, has_unit_rows=has_unit_rows),)
        if name in _OUTSIDE_LAYERS:
            return (Part(target=name),)
        layer = _LAYER.fullmatch(name)
        if layer is None:
            return None
        number, inner = layer.groups()
        if inner == _FREQUENCIES:
            return ()
        if inner == _PACKED:
            return tuple(
                Part(
                    target=f"model.layers.{number}.self_attn.{target}.weight",
                    rows=((place * hidden, (place + 1) * hidden),),
                )
                for place, target in enumerate(("q_proj", "k_proj", "v_proj"))
            )
        return (Part(target=name),) if inner in _IN_LAYER else None

    return parts


def _describe(checkpoint: Checkpoint) -> tuple[str, ...]:
    code = read_code(checkpoint)
    hidden = checkpoint.config["hidden_size"]
    chat = "no chat format: it completes text"
    if _has_roles(checkpoint):
        user, assistant = (checkpoint.generation_config[key] for key in ROLE_KEYS)
        chat = f"reserved tokens {user} and {assistant} before each turn, stopping on `</s>`"
    lines = [
        f"`W_pack` is split by rows into `q_proj`, `k_proj`, `v_proj` ({hidden} each); all other "
        "names are Llama's already",
        sizes_line(checkpoint),
        f"rope over whole heads, base {_rope_base(checkpoint):g}",
        f"tokenizer rebuilt from the sentencepiece file; {chat}",
    ]
    if code.has_unit_rows:
        lines.insert(
            1, "each row of `lm_head` is divided by its length, as the published head does"
        )
    return tuple(lines)


def _caveats(checkpoint: Checkpoint, dtype: str) -> tuple[Caveat, ...]:
    if dtype == "float32" or not read_code(checkpoint).has_unit_rows:
        return ()
    text = (
        f"the published code turns queries and keys in fp32, Llama in the model's dtype: in "
        f"{dtype} the two round differently"
    )
    return (Caveat(code="ROPE-BF16", text=text),)


def _build_tokenizer(checkpoint: Checkpoint, directory: Path) -> PreTrainedTokenizerBase:
    tokenizer = build_piece_tokenizer(checkpoint, directory)
    if _has_roles(checkpoint) and not adds_begin(checkpoint):
        names = [
            str(tokenizer.convert_ids_to_tokens(checkpoint.generation_config[key]))
            for key in ROLE_KEYS
        ]
        tokenizer.chat_template = reserved_template(*names)
    return tokenizer


def _stops(checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    return (int(tokenizer.convert_tokens_to_ids("</s>")),)


def _encode(
    checkpoint: Checkpoint,
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    continue_final_message: bool = False,
) -> list[int]:
    user, assistant = (int(checkpoint.generation_config[key]) for key in ROLE_KEYS)
    return encode_reserved(
        tokenizer,
        read_turns(messages, continue_final_message=continue_final_message),
        user=user,
        assistant=assistant,
        adds_begin=adds_begin(checkpoint),
        add_generation_prompt=add_generation_prompt,
    )


def _row(name: str, title: str, *, chats: bool) -> NativeFamily:
    return NativeFamily(
        name=name,
        title=title,
        implementation="LlamaForCausalLM",
        config_class="LlamaConfig",
        model_type="llama",
        kind="chat" if chats else "completion",
        recognise=_recognise(has_alibi=False, has_roles=chats),
        refusals=_refusals,
        map_config=_map_config,
        map_tensor=_map_tensor,
        describe=_describe,
        caveats=_caveats,
        speech=Speech(
            build_tokenizer=_build_tokenizer,
            stop_token_ids=_stops,
            encode_chat=_encode if chats else None,
        ),
    )


BAICHUAN = _row("baichuan", "Baichuan", chats=False)
BAICHUAN_CHAT = _row("baichuan-chat", "Baichuan2 chat", chats=True)
BAICHUAN_ALIBI = NativeFamily(
    name="baichuan-alibi",
    title="Baichuan with ALiBi",
    implementation=None,
    config_class="",
    model_type="",
    kind="chat",
    recognise=_recognise(has_alibi=True),
    refusals=_alibi_refusals,
    map_config=lambda checkpoint, major: {},
    map_tensor=lambda checkpoint: lambda name: None,
    describe=lambda checkpoint: (),
    caveats=lambda checkpoint, dtype: (),
)
