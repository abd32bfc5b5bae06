"""InternLM and InternLM2 with remote code, run as the library's `LlamaForCausalLM`.

InternLM has Llama's names and biases around its attention; InternLM2 packs queries, key and value
of each group side by side under names of its own. The chat format is the shipped code's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.native.family import NativeFamily, Speech
from trueup.adapt.native.internlm_code import read_rounds
from trueup.adapt.native.internlm_layout import (
    kv_heads,
    map_config,
    map_first,
    map_second,
    refusals,
)
from trueup.adapt.native.internlm_rope import rope_caveats, rope_line
from trueup.adapt.native.llama_layout import sizes_line
from trueup.adapt.native.piece_chat import encode_chatml, encode_rounds, read_turns
from trueup.adapt.native.piece_templates import CHATML_TEMPLATE, rounds_template
from trueup.adapt.native.piece_tokenizer import adds_begin, build_piece_tokenizer, has_token
from trueup.checkpoint.checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")


def _describe(checkpoint: Checkpoint) -> tuple[str, ...]:
    config = checkpoint.config
    lines = [sizes_line(checkpoint), rope_line(checkpoint), _speech_line(checkpoint)]
    if checkpoint.model_type == "internlm2":
        groups = kv_heads(checkpoint)
        packed = (
            f"`wqkv` is split by rows into `q_proj`, `k_proj`, `v_proj` ({groups} groups of "
            f"{config['num_attention_heads'] // groups} queries, one key and one value)",
            "`w1`, `w3`, `w2` -> `gate_proj`, `up_proj`, `down_proj`; `wo`, `attention_norm`, "
            "`ffn_norm`, `tok_embeddings`, `output` -> Llama's names",
        )
        return (*packed, *lines)
    names: tuple[str, ...] = ("all names are Llama's already; `bias` -> `attention_bias`",)
    given = config.get("num_key_value_heads")
    if given not in (None, config["num_attention_heads"]):
        names += (f"`num_key_value_heads` {given} is left out: no code of the model reads it",)
    return (*names, *lines)


def _speech_line(checkpoint: Checkpoint) -> str:
    chat = "no chat format that is understood: it completes text"
    if _is_chatml(checkpoint):
        chat = "ChatML roles, stopping on `</s>` and `<|im_end|>`"
    elif (rounds := read_rounds(checkpoint)) is not None:
        chat = f"rounds `{rounds.question}`, `{rounds.answer}`, `{rounds.end}`".replace("\n", "\\n")
        if rounds.system is None:
            chat += "; a system message goes before the first question"
    return f"tokenizer rebuilt from the sentencepiece file; {chat}"


def _is_chatml(checkpoint: Checkpoint) -> bool:
    return all(has_token(checkpoint, name) for name in CHATML_TOKENS)


def _chats(checkpoint: Checkpoint) -> bool:
    if checkpoint.model_type == "internlm2":
        return _is_chatml(checkpoint)
    return read_rounds(checkpoint) is not None


def _build_tokenizer(checkpoint: Checkpoint, directory: Path) -> PreTrainedTokenizerBase:
    tokenizer = build_piece_tokenizer(checkpoint, directory)
    rounds = read_rounds(checkpoint)
    if _is_chatml(checkpoint):
        tokenizer.chat_template = CHATML_TEMPLATE
    elif rounds is not None and checkpoint.model_type == "internlm":
        tokenizer.chat_template = rounds_template(rounds, adds_begin=adds_begin(checkpoint))
    return tokenizer


def _stops(checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    names = ["</s>"]
    if _is_chatml(checkpoint):
        names.append("<|im_end|>")
    elif (rounds := read_rounds(checkpoint)) is not None:
        names.append(rounds.end.strip())
    known = tokenizer.get_added_vocab()
    return tuple(int(known[name]) for name in names if name in known)


def _encode(
    checkpoint: Checkpoint,
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    continue_final_message: bool = False,
) -> list[int]:
    turns = read_turns(messages, continue_final_message=continue_final_message)
    rounds = None if _is_chatml(checkpoint) else read_rounds(checkpoint)
    opens = add_generation_prompt and not continue_final_message
    if rounds is None:
        return encode_chatml(
            tokenizer,
            turns,
            add_generation_prompt=opens,
            continue_final_message=continue_final_message,
        )
    return encode_rounds(
        tokenizer,
        turns,
        rounds,
        adds_begin=adds_begin(checkpoint),
        add_generation_prompt=opens,
        continue_final_message=continue_final_message,
    )


def _row(name: str, title: str, model_type: str, *, chats: bool) -> NativeFamily:
    return NativeFamily(
        name=name,
        title=title,
        implementation="LlamaForCausalLM",
        config_class="LlamaConfig",
        model_type="llama",
        kind="chat" if chats else "completion",
        recognise=lambda checkpoint: (
            checkpoint.model_type == model_type and _chats(checkpoint) == chats
        ),
        refusals=refusals,
        map_config=map_config,
        map_tensor=map_second if model_type == "internlm2" else map_first,
        describe=_describe,
        caveats=rope_caveats,
        speech=Speech(
            build_tokenizer=_build_tokenizer,
            stop_token_ids=_stops,
            encode_chat=_encode if chats else None,
        ),
    )


INTERNLM = _row("internlm", "InternLM", "internlm", chats=True)
INTERNLM_TEXT = _row("internlm-text", "InternLM without a chat format", "internlm", chats=False)
INTERNLM2 = _row("internlm2", "InternLM2", "internlm2", chats=True)
INTERNLM2_TEXT = _row("internlm2-text", "InternLM2 without ChatML", "internlm2", chats=False)
