"""Tiny random checkpoints of models that make embeddings, as they are published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CORPUS = (
    "def add(left, right):\n    return left + right\n",
    "for (let i = 0; i < rows.length; i++) { total += rows[i].price; }",
    "SELECT name, COUNT(*) FROM orders GROUP BY name ORDER BY name;",
    "Returns the moving average of a series of prices.",
)
VOCABULARY = 400
POOLING_KEYS = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "lasttoken": "pooling_mode_lasttoken",
    "max": "pooling_mode_max_tokens",
}
TYPE = "sentence_transformers.models."
# Releases from 5.0 on cut Qwen2's texts so, whatever tokenizer.json says.
QWEN2_CUTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """The files of Sentence Transformers: `pooling` in its own words.

    `is_old` writes a key for each mode, as its releases before 5.x did; `more_modules` are names
    of classes that follow.
    """

    pooling: str = "mean"
    is_old: bool = True
    normalize: bool = True
    max_seq_length: int | None = None
    lower_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    more_modules: tuple[str, ...] = ()


def build_encoder(
    model_type: str,
    directory: Path,
    *,
    dtype: str = "float32",
    sentence: Sentence | None = None,
    architecture: str = "",
    **overrides: Any,
) -> Path:
    """`roberta` (as CodeBERT), `bert`, `distilbert`, `mpnet` or `qwen2`, with a tokenizer.

    `overrides` are keys of the config; `architecture` is the library's class that is saved
    instead of the one without a head, such as `RobertaForMaskedLM`.
    """
    import torch
    import transformers

    config_class, model_class, sizes = _classes(model_type)
    torch.manual_seed(0)
    config = getattr(transformers, config_class)(**{**sizes, **overrides})
    model = getattr(transformers, architecture or model_class)(config)
    with torch.no_grad():  # as trained models: vectors of different texts are not all alike
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(4)
    directory.mkdir(parents=True, exist_ok=True)
    model.to(getattr(torch, dtype)).save_pretrained(directory)
    _write_tokenizer(model_type, directory, context=_context(sizes))
    if sentence is not None:
        write_sentence_files(directory, sentence)
    return directory


def _classes(model_type: str) -> tuple[str, str, dict[str, Any]]:
    wide = {"vocab_size": VOCABULARY, "hidden_size": 64, "num_hidden_layers": 2}
    bert = {**wide, "num_attention_heads": 4, "intermediate_size": 96}
    # Positions of RoBERTa's family begin after the padding id 1.
    offset = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    roberta = {**bert, **offset, "max_position_embeddings": 514, "type_vocab_size": 1}
    distilbert = {"vocab_size": VOCABULARY, "dim": 64, "n_layers": 2, "n_heads": 4}
    distilbert |= {"hidden_dim": 96, "pad_token_id": 1, "max_position_embeddings": 512}
    decoder = {**bert, "num_key_value_heads": 2, "max_position_embeddings": 512}
    ends = {"pad_token_id": 1, "bos_token_id": None, "eos_token_id": 2}
    known: dict[str, tuple[str, str, dict[str, Any]]] = {
        "roberta": ("RobertaConfig", "RobertaModel", roberta),
        "mpnet": ("MPNetConfig", "MPNetModel", {**bert, **offset, "max_position_embeddings": 514}),
        "bert": (
            "BertConfig",
            "BertModel",
            {**bert, "pad_token_id": 1, "max_position_embeddings": 512},
        ),
        "distilbert": ("DistilBertConfig", "DistilBertModel", distilbert),
        "qwen2": ("Qwen2Config", "Qwen2Model", {**decoder, **ends}),
    }
    return known[model_type]


def _context(sizes: Mapping[str, Any]) -> int:
    positions: int = sizes["max_position_embeddings"]
    return 512 if positions == 514 else positions


def _write_tokenizer(model_type: str, directory: Path, *, context: int) -> None:
    """A byte-level BPE: `<s>` and `</s>` around a text, or for a decoder `</s>` after it."""
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if model_type == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        cuts = pre_tokenizers.Split(Regex(QWEN2_CUTS), behavior="isolated", invert=False)
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cuts, level])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    before = "" if model_type == "qwen2" else "<s> "
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{before}$A </s>",
        pair=f"{before}$A </s> $B </s>",
        special_tokens=[(token, special.index(token)) for token in ("<s>", "</s>")],
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    # This class is in every release; 5.x knows the name as another one's.
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    if before:
        settings |= {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>"}
    _write(directory / "tokenizer_config.json", settings)


def write_sentence_files(directory: Path, sentence: Sentence) -> None:
    """Add what Sentence Transformers saves beside a model of transformers."""
    types = ["Transformer", "Pooling", *(["Normalize"] if sentence.normalize else [])]
    types += sentence.more_modules
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{name}" if index else "",
            "type": TYPE + name,
        }
        for index, name in enumerate(types)
    ]
    for module in modules[1:]:
        (directory / str(module["path"])).mkdir(exist_ok=True)
    _write(directory / "modules.json", modules)
    pooling: dict[str, Any] = {"word_embedding_dimension": 64, "include_prompt": True}
    if sentence.is_old:
        pooling |= {key: mode == sentence.pooling for mode, key in POOLING_KEYS.items()}
    else:
        pooling["pooling_mode"] = sentence.pooling
    _write(directory / "1_Pooling" / "config.json", pooling)
    transformer = {"max_seq_length": sentence.max_seq_length, "do_lower_case": sentence.lower_case}
    _write(directory / "sentence_bert_config.json", transformer)
    settings = {"prompts": dict(sentence.prompts), "default_prompt_name": sentence.default_prompt}
    _write(directory / "config_sentence_transformers.json", settings)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
