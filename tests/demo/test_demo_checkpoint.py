"""The demo checkpoint is what a ChatGLM2 directory on the hub is: layout, config, weights."""

import ast
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

ROOT = Path(__file__).resolve().parent.parent.parent
CHECKPOINT = ROOT / "src" / "trueup" / "demo_checkpoint"
LARGEST_BYTES = 4 * 1024 * 1024
FILES = {
    "README.md",
    "config.json",
    "configuration_chatglm.py",
    "model.safetensors",
    "modeling_chatglm.py",
    "tokenization_chatglm.py",
    "tokenizer.model",
    "tokenizer_config.json",
}


def read_config() -> dict[str, Any]:
    config: dict[str, Any] = json.loads((CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    return config


def read_header() -> dict[str, Any]:
    content = (CHECKPOINT / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    ends = [tensor["data_offsets"][1] for tensor in header.values()]
    assert 8 + length + max(ends) == len(content)
    return header


def expected_shapes(config: dict[str, Any]) -> dict[str, list[int]]:
    hidden, vocabulary = config["hidden_size"], config["padded_vocab_size"]
    wide, head = config["ffn_hidden_size"], config["kv_channels"]
    queries = config["num_attention_heads"] * head
    mixed = queries + 2 * config["multi_query_group_num"] * head
    shapes = {
        "embedding.word_embeddings.weight": [vocabulary, hidden],
        "rotary_pos_emb.inv_freq": [head // 4],
        "encoder.final_layernorm.weight": [hidden],
        "output_layer.weight": [vocabulary, hidden],
    }
    for number in range(config["num_layers"]):
        shapes |= {
            f"encoder.layers.{number}.{name}": shape
            for name, shape in {
                "input_layernorm.weight": [hidden],
                "self_attention.query_key_value.weight": [mixed, hidden],
                "self_attention.query_key_value.bias": [mixed],
                "self_attention.dense.weight": [hidden, queries],
                "post_attention_layernorm.weight": [hidden],
                "mlp.dense_h_to_4h.weight": [2 * wide, hidden],
                "mlp.dense_4h_to_h.weight": [hidden, wide],
            }.items()
        }
    return {f"transformer.{name}": shape for name, shape in shapes.items()}


def methods_of(file: str, name: str) -> dict[str, list[str]]:
    """The methods of a class and the names of their arguments, read without importing."""
    tree = ast.parse((CHECKPOINT / file).read_text(encoding="utf-8"))
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    return {
        node.name: [argument.arg for argument in node.args.args]
        for node in found.body
        if isinstance(node, ast.FunctionDef)
    }


def test_the_directory_has_the_files_of_a_hub_checkpoint_and_fits_its_budget() -> None:
    files = {path for path in CHECKPOINT.iterdir() if path.is_file()}
    assert {path.name for path in files} == FILES
    assert sum(path.stat().st_size for path in files) <= LARGEST_BYTES


def test_the_config_is_one_of_chatglm2_of_2023() -> None:
    config = read_config()
    assert config["model_type"] == "chatglm"
    assert config["architectures"] == ["ChatGLMModel"]
    assert config["transformers_version"].startswith("4.27")
    assert "num_hidden_layers" not in config
    assert "max_length" not in config
    assert config["hidden_size"] == config["num_attention_heads"] * config["kv_channels"]
    assert config["multi_query_attention"] is True
    assert config["add_qkv_bias"] is True
    assert config["quantization_bit"] == 0
    assert config["pre_seq_len"] is None


def test_every_class_of_the_auto_maps_is_there() -> None:
    tokenizer = json.loads((CHECKPOINT / "tokenizer_config.json").read_text(encoding="utf-8"))
    targets = [*read_config()["auto_map"].values(), tokenizer["auto_map"]["AutoTokenizer"][0]]
    for target in targets:
        module, name = target.split(".")
        assert methods_of(f"{module}.py", name)


def test_the_weights_have_the_names_and_shapes_that_the_config_asks_for() -> None:
    header = read_header()
    assert {name: tensor["shape"] for name, tensor in header.items()} == expected_shapes(
        read_config()
    )
    assert {tensor["dtype"] for tensor in header.values()} == {"F16"}


def test_the_vocabulary_and_its_five_special_tokens_fit_the_embedding() -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(CHECKPOINT / "tokenizer.model"))
    assert pieces.vocab_size() + 5 <= read_config()["padded_vocab_size"]
    assert (pieces.unk_id(), pieces.bos_id(), pieces.eos_id()) == (0, 1, 2)
    for text in ("[Round 1]\n\n问：你好\n\n答：", "  two  blanks", "an unseen 龘 and 🙂"):
        assert pieces.decode(pieces.encode(text)) == text
        assert pieces.unk_id() not in pieces.encode(text)


@pytest.mark.parametrize(
    ("file", "name", "method", "arguments"),
    [
        (
            "modeling_chatglm.py",
            "ChatGLMPreTrainedModel",
            "get_masks",
            ["self", "input_ids", "past_key_values", "padding_mask"],
        ),
        (
            "modeling_chatglm.py",
            "ChatGLMForConditionalGeneration",
            "_update_model_kwargs_for_generation",
            ["self", "outputs", "model_kwargs", "is_encoder_decoder", "standardize_cache_format"],
        ),
        (
            "tokenization_chatglm.py",
            "ChatGLMTokenizer",
            "_pad",
            [
                "self",
                "encoded_inputs",
                "max_length",
                "padding_strategy",
                "pad_to_multiple_of",
                "return_attention_mask",
            ],
        ),
    ],
)
def test_methods_have_the_signatures_of_their_time(
    file: str, name: str, method: str, arguments: list[str]
) -> None:
    assert methods_of(file, name)[method] == arguments
