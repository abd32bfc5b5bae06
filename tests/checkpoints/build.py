"""Puts together random checkpoint directories in the layouts of ChatGLM2, ChatGLM3 and GLM-4.

The remote code in them is ours: ChatGLM2's is that of the demo checkpoint, the others' lies in
`remote_code/`. Nothing here imports trueup.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.checkpoints.vocabularies import SENTENCEPIECE, TIKTOKEN
from tests.checkpoints.weights import Array, digest, seeded

Family = Literal["chatglm2", "chatglm2-32k", "chatglm3", "glm4"]
WeightsFormat = Literal["safetensors", "sharded", "pickle", "sharded-pickle"]

HERE = Path(__file__).parent
REMOTE_CODE = HERE / "remote_code"
DEMO = HERE.parent.parent / "src" / "trueup" / "demo_checkpoint"
VOCABULARY_TOKENS = 704  # both vocabularies with their special tokens fit

GLM4_SPECIAL_TOKENS = (
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
)
GLM4_CHAT_TEMPLATE = (
    "[gMASK]<sop>{% for item in messages %}{% if item['content'] %}<|{{ item['role'] }}|>"
    "{{ item['metadata'] }}\n{{ item['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What sets one family's directory apart from the others'."""

    published_as: str
    code: tuple[Path, Path, Path]
    tokenizer_class: str = "ChatGLMTokenizer"
    rotary: Path | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


CHATGLM2_CODE = (
    DEMO / "configuration_chatglm.py",
    DEMO / "modeling_chatglm.py",
    DEMO / "tokenization_chatglm.py",
)
CHATGLM3_CODE = (
    REMOTE_CODE / "configuration_chatglm.py",
    REMOTE_CODE / "modeling_chatglm.py",
    REMOTE_CODE / "tokenization_chatglm3.py",
)
LAYOUTS: Mapping[Family, Layout] = {
    "chatglm2": Layout(published_as="THUDM/chatglm2-6b", code=CHATGLM2_CODE),
    "chatglm2-32k": Layout(
        published_as="THUDM/chatglm2-6b-32k",
        code=CHATGLM2_CODE,
        rotary=REMOTE_CODE / "rotary_chatglm2_32k.py",
        config={"rope_ratio": 16},
    ),
    "chatglm3": Layout(published_as="THUDM/chatglm3-6b", code=CHATGLM3_CODE),
    "glm4": Layout(
        published_as="THUDM/glm-4-9b-chat",
        code=(*CHATGLM3_CODE[:2], REMOTE_CODE / "tokenization_glm4.py"),
        tokenizer_class="ChatGLM4Tokenizer",
        rotary=REMOTE_CODE / "rotary_glm4.py",
        config={"rope_ratio": 500, "layernorm_epsilon": 1.5625e-07},
    ),
}


def build_checkpoint(
    family: Family,
    directory: Path,
    *,
    seed: int = 0,
    layers: int = 3,
    hidden: int = 64,
    heads: int = 4,
    groups: int = 2,
    weights_format: WeightsFormat = "safetensors",
    dtype: str = "float32",
    **config_overrides: Any,
) -> Path:
    """Writes a random checkpoint of `family` into `directory` (made if missing) and returns it.

    Further keywords replace keys of config.json (`seq_length`, `padded_vocab_size`, ...); one
    whose value is None leaves the key out. `weights_format="sharded"` writes two shards and their
    index, `"pickle"` writes `pytorch_model.bin`.
    """
    sizes = {"num_layers": layers, "hidden_size": hidden, "num_attention_heads": heads}
    config = config_of(family, **sizes, multi_query_group_num=groups, torch_dtype=dtype)
    config.setdefault("kv_channels", hidden // heads)
    config.setdefault("ffn_hidden_size", 2 * hidden + 32)
    config |= config_overrides
    config = {key: value for key, value in config.items() if value is not None}
    directory.mkdir(parents=True, exist_ok=True)
    _write_json(directory / "config.json", config)
    write_code(family, directory)
    write_tokenizer(family, directory)
    write_weights(seeded(config, seed), directory, weights_format=weights_format, dtype=dtype)
    return directory


def config_of(family: Family, **overrides: Any) -> dict[str, Any]:
    """config.json as the family publishes it, with `overrides` for its sizes."""
    layout = LAYOUTS[family]
    auto = {
        "AutoConfig": "configuration_chatglm.ChatGLMConfig",
        "AutoModel": "modeling_chatglm.ChatGLMForConditionalGeneration",
        "AutoModelForCausalLM": "modeling_chatglm.ChatGLMForConditionalGeneration",
        "AutoModelForSeq2SeqLM": "modeling_chatglm.ChatGLMForConditionalGeneration",
    }
    return {
        "_name_or_path": layout.published_as,
        "model_type": "chatglm",
        "architectures": ["ChatGLMModel"],
        "auto_map": auto,
        "add_bias_linear": False,
        "add_qkv_bias": True,
        "apply_query_key_layer_scaling": True,
        "apply_residual_connection_post_layernorm": False,
        "attention_dropout": 0.0,
        "attention_softmax_in_fp32": True,
        "fp32_residual_connection": False,
        "hidden_dropout": 0.0,
        "layernorm_epsilon": 1e-05,
        "multi_query_attention": True,
        "original_rope": True,
        "padded_vocab_size": VOCABULARY_TOKENS,
        "post_layer_norm": True,
        "rmsnorm": True,
        "seq_length": 512,
        "use_cache": True,
        "tie_word_embeddings": False,
        "transformers_version": "4.40.2" if family == "glm4" else "4.27.1",
        **_stop_tokens(family),
        **layout.config,
        **overrides,
    }


def write_code(family: Family, directory: Path) -> None:
    """The three Python files of the family, put together from what the families share."""
    layout = LAYOUTS[family]
    for path in layout.code:
        kind = path.name.partition("_")[0]
        shutil.copyfile(path, directory / f"{kind}_chatglm.py")
    if layout.rotary is not None:
        path = directory / "modeling_chatglm.py"
        modeling = path.read_text(encoding="utf-8")
        path.write_text(_with_rope_ratio(modeling, layout.rotary), encoding="utf-8")


def _with_rope_ratio(modeling: str, rotary: Path) -> str:
    start = modeling.index("class RotaryEmbedding")
    end = modeling.index("\n\n\n", start)
    own_class = rotary.read_text(encoding="utf-8").rstrip()
    rest = modeling[end:].replace(
        "original_impl=", "rope_ratio=config.rope_ratio, original_impl=", 1
    )
    return modeling[:start] + own_class + rest


def write_tokenizer(family: Family, directory: Path) -> None:
    """tokenizer.model and tokenizer_config.json, without the Python file."""
    name = LAYOUTS[family].tokenizer_class
    settings: dict[str, Any] = {
        "name_or_path": LAYOUTS[family].published_as,
        "remove_space": False,
        "do_lower_case": False,
        "tokenizer_class": name,
        "auto_map": {"AutoTokenizer": [f"tokenization_chatglm.{name}", None]},
    }
    if family == "glm4":
        shutil.copyfile(TIKTOKEN, directory / "tokenizer.model")
        settings |= {
            "added_tokens_decoder": _glm4_added_tokens(),
            "additional_special_tokens": list(GLM4_SPECIAL_TOKENS),
            "chat_template": GLM4_CHAT_TEMPLATE,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "padding_side": "left",
            "model_max_length": 512,
        }
    else:
        shutil.copyfile(SENTENCEPIECE, directory / "tokenizer.model")
    _write_json(directory / "tokenizer_config.json", settings)


def write_weights(
    weights: Mapping[str, Array],
    directory: Path,
    *,
    weights_format: WeightsFormat = "safetensors",
    dtype: str = "float32",
) -> None:
    """The weight files, with an index where there are two shards."""
    import torch
    from safetensors.torch import save_file

    tensors = {
        name: torch.from_numpy(values.copy()).to(getattr(torch, dtype))
        for name, values in weights.items()
    }
    pickled = weights_format.endswith("pickle")
    stem, ending = ("pytorch_model", "bin") if pickled else ("model", "safetensors")
    names = sorted(tensors)
    parts = [names]
    if weights_format.startswith("sharded"):
        parts = [names[: len(names) // 2], names[len(names) // 2 :]]
    weight_map: dict[str, str] = {}
    for number, part in enumerate(parts, start=1):
        file = f"{stem}-{number:05}-of-{len(parts):05}.{ending}"
        if len(parts) == 1:
            file = f"{stem}.{ending}"
        chosen = {name: tensors[name] for name in part}
        if pickled:
            torch.save(chosen, directory / file)
        else:
            save_file(chosen, directory / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    if len(parts) > 1:
        total = sum(tensor.nbytes for tensor in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        _write_json(directory / f"{stem}.{ending}.index.json", index)


def weights_digest(config: Mapping[str, Any], seed: int) -> str:
    """The sha256 of the weights that a checkpoint of `config` and `seed` holds."""
    return digest(seeded(config, seed))


def _stop_tokens(family: Family) -> dict[str, Any]:
    if family != "glm4":
        return {"eos_token_id": 2, "pad_token_id": 0}
    first = _glm4_first_special()
    stops = ("<|endoftext|>", "<|user|>", "<|observation|>")
    ids = [first + GLM4_SPECIAL_TOKENS.index(stop) for stop in stops]
    return {"eos_token_id": ids, "pad_token_id": ids[0]}


def _glm4_first_special() -> int:
    return len(TIKTOKEN.read_bytes().splitlines())


def _glm4_added_tokens() -> dict[str, dict[str, Any]]:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {
        str(_glm4_first_special() + offset): {"content": token, **flags, "special": True}
        for offset, token in enumerate(GLM4_SPECIAL_TOKENS)
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
