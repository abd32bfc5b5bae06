"""A small model with code of its own, which runs on every transformers; written for tests.

It has what published code has: buffers that no file holds, one that is saved, tied weights, a
chat function, and a table that is computed in the default dtype.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.engines.tiny import byte_level_tokenizer
from trueup.adapt.plan import Memory, Plan, PlannedModel
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.trust.code import read_code
from trueup.trust.consents import Consents
from trueup.trust.copy import trusted_code

HIDDEN = 16
VOCABULARY_TOKENS = 320
CONFIGURATION = """
from transformers import PretrainedConfig


class SmallConfig(PretrainedConfig):
    model_type = "small"

    def __init__(self, hidden_size=16, vocab_size=320, **kwargs):
        self.hidden_size = hidden_size
        self.num_hidden_layers = 1
        super().__init__(**{"vocab_size": vocab_size, "tie_word_embeddings": True, **kwargs})
        self.vocab_size = vocab_size
"""
MODELING = """
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_small import SmallConfig
from .tables import frequencies

try:
    from transformers import GenerationMixin
except ImportError:
    GenerationMixin = object


class SmallForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = SmallConfig
    base_model_prefix = "model"
    _tied_weights_keys = TIED

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([nn.Linear(config.hidden_size, config.hidden_size)])
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.register_buffer("table", frequencies(config.hidden_size), persistent=False)
        self.register_buffer("scale", torch.ones(1))
        nn.init.constant_(self.scale, 3.0)
        self.post_init()

    def get_input_embeddings(self):
        return self.embed

    def get_output_embeddings(self):
        return self.head

    def _init_weights(self, module):
        for parameter in module.parameters(recurse=False):
            parameter.data.normal_()

    def prepare_inputs_for_generation(self, input_ids, **kwargs):
        return {"input_ids": input_ids}

    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        places = torch.arange(1, input_ids.shape[1] + 1)[None, :, None].to(self.table.dtype)
        state = torch.cumsum(self.embed(input_ids) * torch.cos(places * self.table), dim=1)
        for layer in self.layers:
            state = torch.tanh(layer(state.to(layer.weight.dtype))) * self.scale
        return CausalLMOutputWithPast(logits=self.head(state.to(self.head.weight.dtype)))

    def chat(self, tokenizer, query, history=None, meta_instruction="Be brief.", **kwargs):
        text = meta_instruction + "".join(f"<{q}|{a}>" for q, a in history or [])
        inputs = tokenizer([text + f"<{query}|"], return_tensors="pt")
        eos_token_id = [tokenizer.eos_token_id, 7]
        return self.generate(inputs["input_ids"], eos_token_id=eos_token_id, **kwargs)
"""
TABLES = """
import torch


def frequencies(width):
    return 1 / 10 ** (torch.arange(width) / width)
"""
NAMES = {"layers.0.weight": (HIDDEN, HIDDEN), "layers.0.bias": (HIDDEN,)}


def small_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embed.weight": (VOCABULARY_TOKENS, HIDDEN), **NAMES}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write_small(directory: Path, tensors: dict[str, torch.Tensor], **code: str) -> Path:
    """The model's directory; `modeling="…"` is another content of modeling_small.py."""
    directory.mkdir(parents=True, exist_ok=True)
    byte_level_tokenizer().save_pretrained(directory)
    files = {"configuration_small": CONFIGURATION, "modeling_small": MODELING, "tables": TABLES}
    # Releases before 5.0 want names, later ones pairs.
    tied = '{"head.weight": "embed.weight"}'
    for name, content in {**files, **code}.items():
        (directory / f"{name}.py").write_text(content.replace("TIED", tied), encoding="utf-8")
    config = {
        "model_type": "small",
        "architectures": ["SmallForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_small.SmallConfig",
            "AutoModelForCausalLM": "modeling_small.SmallForCausalLM",
        },
        "torch_dtype": "float32",
        "eos_token_id": 2,
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(tensors, directory / "model.safetensors")
    return directory


def own_plan(directory: Path, **changed: Any) -> Plan:
    """A plan that runs the directory's own code, with consent given."""
    checkpoint = read_checkpoint(resolve(str(directory)))
    Consents().give(read_code(checkpoint), [str(directory)])
    plan: dict[str, Any] = {
        "model": PlannedModel(
            id=directory.name,
            source=str(directory),
            revision=None,
            digest=checkpoint.digest,
            directory=str(directory),
        ),
        "route": "fixed",
        "why": (),
        "family": None,
        "implementation": None,
        "kind": "chat",
        "dtype": "float32",
        "device": "cpu",
        "memory": Memory(weights_bytes=0, kv_bytes_per_1k_tokens=0, overhead_bytes=0),
        "consent": "given",
        "context_tokens": 512,
        "code": trusted_code(checkpoint).digest,
    }
    return Plan(**{**plan, **changed})
