"""A model of 6B's width, of which one layer is held at a time on either side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.checkpoints.build import VOCABULARY_TOKENS, config_of, write_code, write_tokenizer
from tests.checkpoints.weights import shapes
from tests.environments import python_for
from tests.proof.sides import facts_of
from trueup.proof.proving import Wanted, prove
from trueup.trust.code import read_code
from trueup.trust.consents import Consents

pytestmark = [pytest.mark.environment, pytest.mark.slow]

LAYERS = 4
GIGABYTE = 10**9


def write_wide(directory: Path) -> Path:
    """ChatGLM2-6B's width with fewer layers, in bf16; every layer has numbers of its own."""
    import torch
    from safetensors.torch import save_file

    config = config_of(
        "chatglm2",
        num_layers=LAYERS,
        hidden_size=4096,
        ffn_hidden_size=13696,
        num_attention_heads=32,
        multi_query_group_num=2,
        kv_channels=128,
        padded_vocab_size=VOCABULARY_TOKENS,
        torch_dtype="bfloat16",
    )
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    write_code("chatglm2", directory)
    write_tokenizer("chatglm2", directory)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(2**22, generator=generator).to(torch.bfloat16)
    weights = {}
    for number, (name, shape) in enumerate(sorted(shapes(config).items())):
        count = torch.Size(shape).numel()
        # Drawn once and shifted: drawing all of them takes longer than the test.
        values = drawn.roll(number * 977).repeat(-(-count // len(drawn)))[:count].reshape(shape)
        weights[name] = values * shape[1] ** -0.5 if len(shape) > 1 else 1 + 0.1 * values
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def test_a_model_of_6b_s_width_is_proven_with_one_layer_in_memory(tmp_path: Path) -> None:
    facts = facts_of(write_wide(tmp_path / "wide"))
    Consents().give(read_code(facts.checkpoint), ["wide"])
    whole_bytes = 2 * facts.checkpoint.weights.size_bytes  # in fp32
    wanted = Wanted(reference_python=python_for("reference-4.41"), memory_bytes=whole_bytes // 2)

    proved = prove(facts, wanted, lambda _: None)

    assert (proved.outcome.verdict, proved.outcome.reasons) == ("proven", ())
    assert len(proved.shape["layers"]) == LAYERS
    assert whole_bytes > 3 * GIGABYTE
    for side, peak in proved.shape["peak_bytes"].items():
        assert peak < 0.6 * whole_bytes, side
