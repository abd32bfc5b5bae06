"""What the mappings of Baichuan and InternLM take, refuse and say, without loading anything."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapt.facts import plain_checkpoint
from tests.checkpoints.build import REMOTE_CODE
from tests.checkpoints.llama_kinds import Kind, config_of_kind, generation_config_of
from trueup.adapt.native import NATIVE
from trueup.adapt.native.family import NativeFamily
from trueup.checkpoint.checkpoint import Checkpoint, RemoteModule

SIZES = {
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "intermediate_size": 160,
}


def checkpoint_of(kind: Kind, edit: dict[str, str] | None = None, **overrides: Any) -> Checkpoint:
    """A checkpoint of `kind`; `edit` replaces text in its modeling code, None leaves a key out."""
    config = {**config_of_kind(kind, **SIZES), **overrides}
    code = {}
    for path in sorted((REMOTE_CODE / kind.replace("-", "_")).glob("*.py")):
        source = path.read_text(encoding="utf-8")
        for old, new in (edit or {}).items():
            source = source.replace(old, new)
        code[path.name] = RemoteModule(
            path=path.name, source=source, sha256="", tree=ast.parse(source)
        )
    tokens = {"28": {"content": "<|im_start|>"}, "27": {"content": "<|im_end|>"}}
    return replace(
        plain_checkpoint(**{key: value for key, value in config.items() if value is not None}),
        remote_code=code,
        generation_config=generation_config_of(kind),
        tokenizer_config={
            "add_bos_token": not kind.startswith("baichuan2"),
            "added_tokens_decoder": tokens if kind == "internlm2" else {},
        },
    )


def family_of(checkpoint: Checkpoint) -> NativeFamily:
    (family,) = [each for each in NATIVE if each.recognise(checkpoint)]
    return family


def refusals_of(checkpoint: Checkpoint) -> str:
    refusals = family_of(checkpoint).refusals(checkpoint)
    return "; ".join(f"{each.key}: {each.reason}" for each in refusals)


@pytest.mark.parametrize(
    ("kind", "name", "does"),
    [
        ("baichuan-7b", "baichuan", "completion"),
        ("baichuan2-7b", "baichuan-chat", "chat"),
        ("baichuan2-13b", "baichuan-alibi", "chat"),
        ("internlm", "internlm", "chat"),
        ("internlm2", "internlm2", "chat"),
    ],
)
def test_the_shipped_code_and_config_tell_the_family(kind: Kind, name: str, does: str) -> None:
    checkpoint = checkpoint_of(kind)
    assert (family_of(checkpoint).name, family_of(checkpoint).kind) == (name, does)
    assert bool(family_of(checkpoint).refusals(checkpoint)) == (name == "baichuan-alibi")


def test_a_baichuan2_without_reserved_tokens_completes_text() -> None:
    checkpoint = replace(checkpoint_of("baichuan2-7b"), generation_config={"eos_token_id": 2})
    assert (family_of(checkpoint).name, family_of(checkpoint).kind) == ("baichuan", "completion")
    (head,) = family_of(checkpoint).map_tensor(checkpoint)("lm_head.weight") or ()
    assert head.has_unit_rows


def test_only_a_head_that_normalises_gets_unit_rows() -> None:
    for kind, edit, expected in (
        ("baichuan-7b", {}, False),
        ("baichuan2-7b", {}, True),
        ("baichuan2-7b", {"self.lm_head = NormHead(": "self.lm_head = nn.Linear("}, False),
    ):
        checkpoint = checkpoint_of(kind, edit)  # type: ignore[arg-type]
        (head,) = family_of(checkpoint).map_tensor(checkpoint)("lm_head.weight") or ()
        assert head.has_unit_rows == expected


ROPE_CALL = "self.head_dim, max_position_embeddings=self.max_position_embeddings"


@pytest.mark.parametrize(
    ("kind", "edit", "expected"),
    [
        ("baichuan-7b", {ROPE_CALL: ROPE_CALL + ", base=config.theta"}, "base `config.theta`"),
        ("internlm", {ROPE_CALL: ROPE_CALL + ", base=500000"}, "base 500000, whatever"),
        ("baichuan2-7b", {"F.normalize(self.weight)": "halved(self.weight)"}, "of `NormHead`"),
        ("baichuan2-7b", {"class NormHead(": "class Elsewhere("}, "of `NormHead`"),
    ],
)
def test_code_that_is_written_otherwise_is_refused(
    kind: Kind, edit: dict[str, str], expected: str
) -> None:
    checkpoint = checkpoint_of(kind, edit)
    assert expected in refusals_of(checkpoint)
    assert not refusals_of(checkpoint_of(kind))


@pytest.mark.parametrize("given", [", base=500000", ", 500000"])
def test_a_base_that_the_code_gives_its_rope_is_the_base(given: str) -> None:
    call = "self.head_dim, self.max_position_embeddings" + given
    checkpoint = checkpoint_of("baichuan-7b", {ROPE_CALL: call})
    config = family_of(checkpoint).map_config(checkpoint, 4)
    assert (config["rope_theta"], refusals_of(checkpoint)) == (500000.0, "")


@pytest.mark.parametrize(
    ("kind", "overrides", "expected"),
    [
        ("baichuan-7b", {"hidden_size": None}, "hidden_size: expected a positive number"),
        ("baichuan-7b", {"hidden_size": 66}, "hidden_size: expected heads of an even size"),
        ("baichuan-7b", {"rms_norm_eps": 0}, "rms_norm_eps: expected a number between 0 and 1"),
        ("baichuan-7b", {"hidden_act": "gelu"}, "hidden_act: expected `silu`, found `'gelu'`"),
        ("baichuan-7b", {"architectures": ["BaichuanModel"]}, "architectures: `BaichuanModel`"),
        ("baichuan-7b", {"tie_word_embeddings": "x"}, "tie_word_embeddings: expected true"),
        ("baichuan2-7b", {"tie_word_embeddings": True}, "tie_word_embeddings: the head has rows"),
        (
            "baichuan2-7b",
            {"quantization_config": {"load_in_4bit": True}},
            "quantization_config: quantised weights of the model's own format",
        ),
        ("baichuan2-7b", {"vocab_size": 17}, "assistant_token_id: `17` in generation_config.json"),
        ("internlm", {"bias": None}, "bias: expected true or false, found `None`"),
        ("internlm", {"rotary": {"base": 10000, "type": "x"}}, "rotary: the shipped code does not"),
        ("internlm2", {"num_key_value_heads": 3}, "num_key_value_heads: expected a divisor of"),
        (
            "internlm2",
            {"rope_scaling": {"type": "yarn", "factor": 2.0}},
            "rope_scaling: expected type `linear` or `dynamic`, found `'yarn'`",
        ),
        (
            "internlm2",
            {"rope_scaling": {"type": "linear", "factor": 0.5}},
            "rope_scaling: expected a factor of 1 or more, found `0.5`",
        ),
        ("internlm2", {"rope_scaling": "linear"}, "rope_scaling: expected a mapping"),
        ("internlm2", {"rope_theta": 0}, "rope_theta: expected the rope's base"),
    ],
)
def test_what_llama_does_not_compute_is_refused_by_its_key(
    kind: Kind, overrides: dict[str, Any], expected: str
) -> None:
    assert expected in refusals_of(checkpoint_of(kind, **overrides))


@pytest.mark.parametrize("kind", ["baichuan-7b", "baichuan2-7b", "internlm", "internlm2"])
def test_a_key_that_the_code_reads_and_the_mapping_does_not_know_is_refused(kind: Kind) -> None:
    edit = {"self.hidden_size = config.hidden_size": "self.window = config.sliding_window"}
    assert refusals_of(checkpoint_of(kind, sliding_window=128)) == ""
    expected = "sliding_window: the shipped code reads this key, which the mapping does not know"
    assert refusals_of(checkpoint_of(kind, edit, sliding_window=128)) == expected


@pytest.mark.parametrize("kind", ["baichuan-7b", "internlm", "internlm2"])
def test_without_its_code_or_its_rope_a_checkpoint_is_refused(kind: Kind) -> None:
    assert "has no modeling code" in refusals_of(replace(checkpoint_of(kind), remote_code={}))
    edit = {"base=10000": "base=theta()"}
    assert "no rotary embedding that is understood" in refusals_of(checkpoint_of(kind, edit))


def test_a_stale_number_of_key_heads_is_left_out_unless_the_code_reads_it() -> None:
    checkpoint = checkpoint_of("internlm")
    assert checkpoint.config["num_key_value_heads"] == 32
    assert family_of(checkpoint).map_config(checkpoint, 5)["num_key_value_heads"] == 4
    assert any(
        "`num_key_value_heads` 32" in line for line in family_of(checkpoint).describe(checkpoint)
    )
    reads = {
        "self.q_proj = nn": "self.groups = config.num_key_value_heads\n        self.q_proj = nn"
    }
    assert "shared keys" in refusals_of(checkpoint_of("internlm", reads))
    assert refusals_of(checkpoint_of("internlm", reads, num_key_value_heads=4)) == ""


def test_later_internlm_code_reads_its_rope_from_rotary() -> None:
    reads = {"self.config = config\n": "self.config = config; config.rotary\n"}
    checkpoint = checkpoint_of("internlm", reads, rotary={"base": 5000, "type": "dynamic"})
    assert refusals_of(checkpoint) == ""
    rope = family_of(checkpoint).map_config(checkpoint, 5)["rope_parameters"]
    assert rope == {"rope_type": "dynamic", "factor": 1.0, "rope_theta": 5000.0}
    (caveat,) = family_of(checkpoint).caveats(checkpoint, "float32")
    assert caveat.code == "ROPE-DYNAMIC"
    old = family_of(checkpoint).map_config(checkpoint, 4)
    assert (old["rope_theta"], old["rope_scaling"]["rope_type"]) == (5000.0, "dynamic")


def test_every_row_of_a_packed_weight_goes_to_one_place() -> None:
    for kind, name, rows in (
        ("baichuan-7b", "model.layers.1.self_attn.W_pack.weight", 192),
        ("internlm2", "model.layers.1.attention.wqkv.weight", 128),
    ):
        checkpoint = checkpoint_of(kind)  # type: ignore[arg-type]
        if kind == "internlm2":
            checkpoint = checkpoint_of("internlm2", num_key_value_heads=2)
        parts = family_of(checkpoint).map_tensor(checkpoint)(name) or ()
        taken = sorted(
            row for part in parts for start, stop in part.rows for row in range(start, stop)
        )
        assert taken == list(range(rows))


@pytest.mark.parametrize("kind", ["baichuan-7b", "internlm", "internlm2"])
def test_a_tensor_of_another_layout_has_no_place(kind: Kind) -> None:
    place = family_of(checkpoint_of(kind)).map_tensor(checkpoint_of(kind))
    for name in ("model.layers.0.self_attn.extra.weight", "model.layers.x.norm", "score.weight"):
        assert place(name) is None
    inner = "attention" if kind == "internlm2" else "self_attn"
    assert place(f"model.layers.0.{inner}.rotary_emb.inv_freq") == ()


def test_a_chat_format_that_is_not_understood_leaves_completion() -> None:
    for edit in (
        {"for record in history:": "for record in reversed(history):"},
        {'prompt += f"""<|User|>:{query}': 'prompt = prompt + f"""<|User|>:{query}'},
        {"def build_inputs": "def other"},
        {'<eoh>\\n<|Bot|>:"""': '<eoh>\\n<|Assistant|>:"""'},
    ):
        family = family_of(checkpoint_of("internlm", edit))
        assert (family.name, family.kind) == ("internlm-text", "completion")


def test_the_directorys_name_does_not_matter() -> None:
    checkpoint = checkpoint_of("internlm2")
    assert family_of(replace(checkpoint, directory=Path("/models/baichuan"))).name == "internlm2"
