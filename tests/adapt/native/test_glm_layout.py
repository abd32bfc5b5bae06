from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.adapt.facts import glm_checkpoint
from trueup.adapt.native.family import Part
from trueup.adapt.native.glm_layout import map_config, map_tensor

SMALL = {"num_attention_heads": 4, "kv_channels": 16, "multi_query_group_num": 2}
LAYER = "transformer.encoder.layers.7"
OURS = "model.layers.7"


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("transformer.embedding.word_embeddings.weight", "model.embed_tokens.weight"),
        ("transformer.encoder.final_layernorm.weight", "model.norm.weight"),
        ("transformer.output_layer.weight", "lm_head.weight"),
        (f"{LAYER}.input_layernorm.weight", f"{OURS}.input_layernorm.weight"),
        (f"{LAYER}.self_attention.dense.weight", f"{OURS}.self_attn.o_proj.weight"),
        (f"{LAYER}.post_attention_layernorm.weight", f"{OURS}.post_attention_layernorm.weight"),
        (f"{LAYER}.mlp.dense_h_to_4h.weight", f"{OURS}.mlp.gate_up_proj.weight"),
        (f"{LAYER}.mlp.dense_4h_to_h.weight", f"{OURS}.mlp.down_proj.weight"),
    ],
)
def test_whole_tensors_get_the_name_of_the_library(
    published: str, expected: str, tmp_path: Path
) -> None:
    parts = map_tensor(glm_checkpoint("chatglm2", tmp_path, **SMALL))
    assert parts(published) == (Part(target=expected),)


@pytest.mark.parametrize("kind", ["weight", "bias"])
def test_grouped_queries_keys_and_values_are_three_blocks(kind: str, tmp_path: Path) -> None:
    parts = map_tensor(glm_checkpoint("chatglm2", tmp_path, **SMALL))
    assert parts(f"{LAYER}.self_attention.query_key_value.{kind}") == (
        Part(target=f"{OURS}.self_attn.q_proj.{kind}", rows=((0, 64),)),
        Part(target=f"{OURS}.self_attn.k_proj.{kind}", rows=((64, 96),)),
        Part(target=f"{OURS}.self_attn.v_proj.{kind}", rows=((96, 128),)),
    )


def test_ungrouped_ones_alternate_head_by_head(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path, **SMALL, multi_query_attention=False)
    mapped = map_tensor(checkpoint)(f"{LAYER}.self_attention.query_key_value.weight")
    assert mapped is not None
    assert [part.rows[1] for part in mapped] == [(48, 64), (64, 80), (80, 96)]
    assert sorted(rows for part in mapped for rows in part.rows) == [
        (start, start + 16) for start in range(0, 192, 16)
    ]


def test_the_rope_table_is_dropped_and_strange_names_are_unknown(tmp_path: Path) -> None:
    parts = map_tensor(glm_checkpoint("chatglm2", tmp_path, **SMALL))
    assert parts("transformer.rotary_pos_emb.inv_freq") == ()
    for name in ("lm_head.weight", f"{LAYER}.mlp.dense_h_to_4h.bias", "transformer.prefix.weight"):
        assert parts(name) is None


@pytest.mark.parametrize(
    ("family", "base", "factor"),
    [("chatglm2", 1e4, 1), ("chatglm2-32k", 1e4, 16), ("glm4", 5e6, 1)],
)
def test_both_meanings_of_rope_ratio_reach_both_releases(
    family: Any, base: float, factor: float, tmp_path: Path
) -> None:
    checkpoint = glm_checkpoint(family, tmp_path)
    new, old = map_config(checkpoint, 5), map_config(checkpoint, 4)
    scaling = {"rope_type": "linear", "factor": factor} if factor != 1 else None
    assert old["rope_theta"] == base
    assert old["partial_rotary_factor"] == 0.5
    assert old.get("rope_scaling") == scaling
    assert new["rope_parameters"] == {
        **(scaling or {"rope_type": "default"}),
        "rope_theta": base,
        "partial_rotary_factor": 0.5,
    }


def test_a_head_is_tied_only_where_the_code_can_tie_it(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm3", tmp_path, tie_word_embeddings=True)
    assert map_config(checkpoint, 5)["tie_word_embeddings"] is False
    assert map_tensor(checkpoint)("transformer.output_layer.weight") != ()
