"""A whole small model in its own code, healthy on every release, and ways to break it.

`model(...)` and `tokenizer(...)` replace named parts of it; what is not named stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import indent

Code = dict[str, str]

CONFIGURATION = """\
from transformers import PretrainedConfig


class XConfig(PretrainedConfig):
    model_type = "x"
{attribute}

    def __init__(self, num_layers=2, hidden_size=8, vocab_size=16, **kwargs):
        self.num_layers = num_layers
        self.hidden_size = hidden_size
        self.vocab_size = vocab_size
{lines}
        super().__init__(**kwargs)
{after}
"""

MODELING = """\
import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast
{imports}

from .configuration_x import XConfig


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.mix = nn.Linear(config.hidden_size, config.hidden_size)
{layer}

    def forward(self, hidden, layer_past=None):
{attention}
        return self.mix(hidden)


class XPreTrainedModel(PreTrainedModel):
    config_class = XConfig
    base_model_prefix = "model"
{pretrained}


class XModel(XPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([Layer(config) for _ in range(config.num_layers)])
{inner}
        {inner_end}

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids, attention_mask=None, past_key_values=None):
        hidden = self.embed(input_ids)
{forward}
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, {past})
        return hidden

{classes}

class XForCausalLM({bases}):
{head}

    def __init__(self, config):
        super().__init__(config)
        self.model = XModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
{init}
        {end}

    def get_output_embeddings(self):
        return self.lm_head

    def forward(
        self, input_ids, attention_mask=None, past_key_values=None, use_cache=None,
        labels=None, return_dict=None, **kwargs,
    ):
{body}
        hidden = self.model(input_ids, attention_mask, past_key_values)
        return CausalLMOutputWithPast(
            logits=self.lm_head(hidden), past_key_values=past_key_values
        )

    def prepare_inputs_for_generation(
        self, input_ids, past_key_values=None, attention_mask=None, **kwargs
    ):
{prepare}
        return {{
            "input_ids": input_ids,
            "past_key_values": past_key_values,
            "attention_mask": attention_mask,
        }}
{methods}
"""

TOKENIZATION = """\
import os

from transformers import PreTrainedTokenizer
{imports}


class Pieces:
    def __init__(self, path):
        self.words = ["a", "b", "c"]

    def size(self):
        return len(self.words)


class XTokenizer(PreTrainedTokenizer):
    vocab_files_names = {{"vocab_file": "tokenizer.model"}}

    def __init__(self, vocab_file, pad_token="<pad>", **kwargs):
{before}
        super().__init__(pad_token=pad_token, **kwargs)
{after}

    @property
    def vocab_size(self):
        return self.pieces.size()

    def get_vocab(self):
        return {{str(each): each for each in range(self.vocab_size)}}

    def _tokenize(self, text):
        return list(text)

    def _convert_token_to_id(self, token):
        return 0

    def _convert_id_to_token(self, index):
        return "a"

    def _pad(
        self, encoded_inputs, max_length=None, padding_strategy=None, pad_to_multiple_of=None,
        return_attention_mask=None{side},
    ):
{pad}
        return super()._pad(
            encoded_inputs, max_length, padding_strategy, pad_to_multiple_of,
            return_attention_mask,
        )
{methods}
"""

MAPPED = 'attribute_map = {"num_hidden_layers": "num_layers"}'
# Indentation of each part; parts of one line stand where they are.
CONFIG_PARTS = {"attribute": 4, "lines": 8, "after": 8}
MODEL_PARTS = {
    "imports": 0, "classes": 0, "layer": 8, "attention": 8, "pretrained": 4, "inner": 8,
    "forward": 8, "head": 4, "init": 8, "body": 8, "prepare": 8, "methods": 4,
}  # fmt: skip
TOKENIZER_PARTS = {"imports": 0, "before": 8, "after": 8, "pad": 8, "methods": 4}


def _filled(template: str, parts: Mapping[str, str], widths: Mapping[str, int]) -> str:
    shifted = {
        name: indent(text, " " * widths[name]) if name in widths else text
        for name, text in parts.items()
    }
    lines = template.format(**shifted).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def config(attribute: str = MAPPED, lines: str = "", after: str = "") -> str:
    """The configuration's module."""
    return _filled(
        CONFIGURATION, {"attribute": attribute, "lines": lines, "after": after}, CONFIG_PARTS
    )


def model(configuration: str | None = None, **parts: str) -> Code:
    """A model's two modules."""
    defaults = dict.fromkeys(MODEL_PARTS, "") | {
        "inner_end": "self.post_init()",
        "end": "self.post_init()",
        "past": "None",
        "bases": "XPreTrainedModel, GenerationMixin",
    }
    source = _filled(MODELING, defaults | parts, MODEL_PARTS)
    return {"configuration": configuration or config(), "modeling": source}


def tokenizer(**parts: str) -> Code:
    """A tokenizer's module."""
    defaults = dict.fromkeys(TOKENIZER_PARTS, "") | {
        "before": "self.pieces = Pieces(vocab_file)",
        "side": ", padding_side=None",
    }
    return {"tokenization": _filled(TOKENIZATION, defaults | parts, TOKENIZER_PARTS)}


NAMES = {
    "XConfig": "Settings",
    "XPreTrainedModel": "Foundation",
    "XModel": "Trunk",
    "XForCausalLM": "Speaker",
    "XTokenizer": "Splitter",
    "Layer": "Storey",
    "Pieces": "Shards",
    "configuration_x": "settings",
    "modeling_x": "network",
    "tokenization_x": "words",
}
FILES = {
    "configuration": "configuration_x",
    "modeling": "modeling_x",
    "tokenization": "tokenization_x",
}
NAME = re.compile(rf"\b(?:{'|'.join(NAMES)})\b")


def rename(text: str) -> str:
    """A text with other names for the fixtures' classes and files."""
    return NAME.sub(lambda found: NAMES[found.group()], text)


def renamed(code: Code) -> Code:
    """The same code with other names for its classes and files, by file name."""
    return {f"{NAMES[FILES[key]]}.py": rename(source) for key, source in code.items()}
