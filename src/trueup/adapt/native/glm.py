"""ChatGLM2, ChatGLM3 and GLM-4 with remote code, run as the library's `GlmForCausalLM`.

One row for each family: they share the layout (`glm_layout.py`) and differ in tokenizer and
chat format. What decides is the shipped code, not a directory's name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.native.chat_format import ENDS_ROLE_LINE, encode_chat
from trueup.adapt.native.family import NativeFamily, Refusal, Speech
from trueup.adapt.native.glm_code import read_rope, tokenizer_family
from trueup.adapt.native.glm_layout import (
    is_first_chatglm,
    is_glm,
    map_config,
    map_tensor,
    refusals,
)
from trueup.adapt.native.tokenizer import build_tokenizer, stop_token_ids
from trueup.adapt.plan import Caveat
from trueup.checkpoint.checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHAT_FORMATS = {
    "chatglm2": "ChatGLM2's rounds (`[Round 1]`, `问：`, `答：`), stopping on `</s>`",
    "chatglm3": "ChatGLM3's roles, stopping on `</s>`, `<|user|>` and `<|observation|>`",
    "glm4": "GLM-4's roles, stopping on `<|endoftext|>`, `<|user|>` and `<|observation|>`",
}


def _describe(name: str) -> Callable[[Checkpoint], tuple[str, ...]]:
    def describe(checkpoint: Checkpoint) -> tuple[str, ...]:
        config = checkpoint.config
        heads, size = config["num_attention_heads"], config["kv_channels"]
        packing = f"{config.get('multi_query_group_num')} groups"
        if not config.get("multi_query_attention"):
            packing = "packed head by head"
        vocabulary = "tiktoken" if name == "glm4" else "sentencepiece"
        return (
            "`transformer.encoder.layers.N` -> `model.layers.N`; embedding, final norm and "
            "output layer -> `embed_tokens`, `norm`, `lm_head`",
            f"`query_key_value` is split by rows into `q_proj`, `k_proj`, `v_proj` "
            f"({heads} heads of {size}, {packing})",
            "`dense_h_to_4h`, `dense_4h_to_h` -> `gate_up_proj`, `down_proj` (same order)",
            f"`num_layers` {config['num_layers']}, `ffn_hidden_size` {config['ffn_hidden_size']}, "
            f"`padded_vocab_size` {config['padded_vocab_size']}, `seq_length` "
            f"{config['seq_length']} -> the library's names",
            _rope_line(checkpoint),
            f"tokenizer rebuilt from the {vocabulary} file; {CHAT_FORMATS[name]}",
        )

    return describe


def _rope_line(checkpoint: Checkpoint) -> str:
    rope = read_rope(checkpoint)
    ratio = checkpoint.config.get("rope_ratio", 1)
    half = "rope over half of each head"
    if rope.ratio == "multiplies base":
        return f"{half}; `rope_ratio` {ratio} multiplies the base of {rope.base:g}"
    if rope.ratio == "divides positions":
        return f"{half}; `rope_ratio` {ratio} divides positions: linear scaling by {ratio}"
    return f"{half}, base {rope.base:g}"


def _caveats(checkpoint: Checkpoint, dtype: str) -> tuple[Caveat, ...]:
    if dtype == "float32" or read_rope(checkpoint).is_float32:
        return ()
    text = (
        f"the published code builds its rope in the model's dtype, Glm in fp32: in {dtype} the "
        "output differs from the published code's (whose cosines are off by up to 0.53 in "
        "bfloat16 below position 256); fp32 rope is the better-conditioned one"
    )
    return (Caveat(code="ROPE-BF16", text=text),)


def _is_family(name: str) -> Callable[[Checkpoint], bool]:
    return lambda checkpoint: is_glm(checkpoint) and tokenizer_family(checkpoint) == name


def _speech(name: str) -> Speech:
    def build(checkpoint: Checkpoint, directory: Path) -> PreTrainedTokenizerBase:
        return build_tokenizer(
            name,
            directory,
            config=checkpoint.config,
            tokenizer_config=checkpoint.tokenizer_config,
        )

    def encode(
        checkpoint: Checkpoint, tokenizer: PreTrainedTokenizerBase, messages: Any, **options: bool
    ) -> list[int]:
        return encode_chat(name, tokenizer, messages, **options)

    return Speech(
        build_tokenizer=build,
        stop_token_ids=lambda checkpoint, tokenizer: stop_token_ids(name, tokenizer),
        encode_chat=encode,
        answers_after_space=name in ENDS_ROLE_LINE,
    )


def _row(name: str, title: str) -> NativeFamily:
    return NativeFamily(
        name=name,
        title=title,
        implementation="GlmForCausalLM",
        config_class="GlmConfig",
        model_type="glm",
        kind="chat",
        recognise=_is_family(name),
        refusals=refusals,
        map_config=map_config,
        map_tensor=map_tensor,
        describe=_describe(name),
        caveats=_caveats,
        speech=_speech(name),
    )


def _first_chatglm_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    reason = (
        "ChatGLM-6B has two-dimensional rope and LayerNorm, which no class of transformers has; "
        "ChatGLM2-6B and later run natively"
    )
    key = "position_encoding_2d" if "position_encoding_2d" in checkpoint.config else "model_type"
    return (Refusal(reason=reason, key=key),)


CHATGLM2 = _row("chatglm2", "ChatGLM2")
CHATGLM3 = _row("chatglm3", "ChatGLM3")
GLM4 = _row("glm4", "GLM-4")
CHATGLM = NativeFamily(
    name="chatglm",
    title="ChatGLM-6B",
    implementation=None,
    config_class="",
    model_type="",
    kind="chat",
    recognise=is_first_chatglm,
    refusals=_first_chatglm_refusals,
    map_config=lambda checkpoint, major: {},
    map_tensor=lambda checkpoint: lambda name: None,
    describe=lambda checkpoint: (),
    caveats=lambda checkpoint, dtype: (),
)
