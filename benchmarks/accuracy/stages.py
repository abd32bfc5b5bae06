"""What is run of a model, one function a stage. Imported in the environment under test only.

Each function takes the prepared directory and loads what it needs from nothing, as a user's
program would, with the library's defaults. Nothing of trueup is imported here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

AUTO_CLASSES = (
    "AutoModelForCausalLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForImageTextToText",
    "AutoModelForVision2Seq",
    "AutoModelForMaskedLM",
    "AutoModel",
)
GENERATES = (*AUTO_CLASSES[:4],)
TEXTS = ("Hello, world: what is this?", "你好，短")
NEW_TOKENS = 4


class NotApplicable(Exception):
    """The stage is none of this model's: it has no tokenizer of its own, it does not generate."""


def read(directory: Path, name: str) -> Mapping[str, Any]:
    """A JSON file of the directory; empty where there is none."""
    path = directory / name
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def recipe(directory: Path) -> Mapping[str, Any]:
    """What `accuracy.json` says of how to call this model; mostly there is none."""
    return read(directory, "accuracy.json")


def auto_map(directory: Path) -> Mapping[str, Any]:
    return read(directory, "config.json").get("auto_map") or {}


def auto_class(directory: Path) -> str:
    """The Auto class that loads the model: the first of AUTO_CLASSES that auto_map names."""
    named = recipe(directory).get("auto_class")
    if named:
        return str(named)
    entries = auto_map(directory)
    for name in (*AUTO_CLASSES, *sorted(entries)):
        if name in entries and name.startswith("AutoModel"):
            return name
    raise NotApplicable("auto_map names no model")


def generates(directory: Path) -> bool:
    named = recipe(directory).get("generates")
    if named is not None:
        return bool(named)
    name = auto_class(directory)
    reference = str(auto_map(directory).get(name, ""))
    return name in GENERATES or reference.endswith(("ForConditionalGeneration", "ForCausalLM"))


def import_config(directory: Path) -> None:
    reference = auto_map(directory).get("AutoConfig")
    if reference is None:
        raise NotApplicable("the config class is the library's")
    _dynamic_class(reference, directory)


def import_model(directory: Path) -> None:
    _dynamic_class(auto_map(directory)[auto_class(directory)], directory)


def import_tokenizer(directory: Path) -> None:
    entries = read(directory, "tokenizer_config.json").get("auto_map") or auto_map(directory)
    reference = entries.get("AutoTokenizer") if isinstance(entries, Mapping) else entries
    if reference is None:
        raise NotApplicable("the tokenizer class is the library's")
    if isinstance(reference, list):  # slow and fast: the fast one is what AutoTokenizer takes
        reference = (reference[1] if len(reference) > 1 else None) or reference[0]
    _dynamic_class(reference, directory)


def _dynamic_class(reference: str, directory: Path) -> Any:
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    return get_class_from_dynamic_module(reference, str(directory))


def config(directory: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(str(directory), trust_remote_code=True)


def tokenizer(directory: Path) -> None:
    """Load, encode, decode, and pad a batch of two where there is a padding token."""
    from transformers import AutoTokenizer

    settings = read(directory, "tokenizer_config.json")
    if not settings or recipe(directory).get("tokenizer") is False:
        raise NotApplicable("no tokenizer files")
    loaded = AutoTokenizer.from_pretrained(str(directory), trust_remote_code=True)
    ids = loaded(TEXTS[0])["input_ids"]
    loaded.decode(ids)
    if loaded.pad_token is not None:
        loaded(list(TEXTS), padding=True, return_tensors="pt")


def auto(directory: Path) -> Any:
    import transformers

    return getattr(transformers, auto_class(directory))


def built(directory: Path) -> Any:
    import torch

    torch.manual_seed(0)
    return auto(directory).from_config(config(directory), trust_remote_code=True).eval()


def init(directory: Path) -> None:
    built(directory)


def load(directory: Path) -> Any:
    loaded = auto(directory).from_pretrained(str(directory), trust_remote_code=True)
    return loaded.eval()


def inputs(directory: Path, model: Any) -> dict[str, Any]:
    """Two rows of eight token ids with a mask, unless accuracy.json says otherwise."""
    import torch

    said = recipe(directory)
    shape = said.get("input_shape", [2, 8])
    top = min(100, _vocabulary(model))
    ids = torch.arange(shape[0] * shape[1]).reshape(shape) % max(top - 10, 1) + min(9, top - 1)
    if said.get("prefix"):  # tokens that the model looks for in its input
        prefix = torch.tensor(said["prefix"]).repeat(shape[0], 1)
        ids = torch.cat([ids[:, : -prefix.shape[1]], prefix], dim=1)
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if said.get("is_series"):  # a time series in the place of token ids
        given["input_ids"] = ids.float() / top
    if getattr(model.config, "is_encoder_decoder", False):
        given["decoder_input_ids"] = given["input_ids"][:, :1]
    given.update({name: torch.tensor(value) for name, value in said.get("inputs", {}).items()})
    return {name: value for name, value in given.items() if name not in said.get("without", [])}


def _vocabulary(model: Any) -> int:
    sizes = (getattr(model.config, name, None) for name in ("vocab_size", "padded_vocab_size"))
    return next((size for size in sizes if isinstance(size, int)), 100)


def logits(output: Any) -> Any:
    for name in ("logits", "last_hidden_state"):
        value = output.get(name) if hasattr(output, "get") else getattr(output, name, None)
        if value is not None:
            return value
    return output[0]


def forward(directory: Path) -> None:
    import torch

    model = load(directory)
    with torch.no_grad():
        model(**inputs(directory, model))


def generate_cached(directory: Path) -> None:
    _generate(directory, {})


def generate_uncached(directory: Path) -> None:
    _generate(directory, {"use_cache": False})


def _generate(directory: Path, options: Mapping[str, Any]) -> None:
    import torch

    if not generates(directory):
        raise NotApplicable("the model does not generate")
    model = load(directory)
    given = inputs(directory, model)
    for name in ("decoder_input_ids", *recipe(directory).get("generate_without", [])):
        given.pop(name, None)  # generate begins the decoder's itself
    more = recipe(directory).get("generate_inputs", {})
    given.update({name: torch.tensor(value) for name, value in more.items()})
    with torch.no_grad():
        model.generate(**given, max_new_tokens=NEW_TOKENS, do_sample=False, **options)


def save(directory: Path) -> None:
    import tempfile

    model = load(directory)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
