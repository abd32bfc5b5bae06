from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapt.facts import (
    GIB,
    GPU,
    MODERN,
    ROOMY,
    assumed,
    glm_checkpoint,
    plain_checkpoint,
    weights_of,
)
from tests.checkpoints.build import Family
from trueup.adapt.plan import Plan
from trueup.adapt.planning import Wishes, make_plan
from trueup.doctor.finding import Finding
from trueup.engines import head
from trueup.environment.environment import Hardware
from trueup.errors import ConfigError

NATIVE = Wishes(route="native")
ON_GPU = replace(ROOMY, gpus=(GPU,))
BROKEN_PAD = Finding(
    code="TOK104", severity="error", stage="tokenizer", cause="_pad", blocks=("fixed",)
)
MISSING_SHARD = Finding(
    code="DIR103",
    severity="error",
    stage="load",
    cause="a shard is missing",
    blocks=("native", "fixed", "isolated"),
)


@pytest.mark.parametrize(
    ("family", "planned"),
    [
        ("chatglm2", "chatglm2"),
        ("chatglm2-32k", "chatglm2"),
        ("chatglm3", "chatglm3"),
        ("glm4", "glm4"),
    ],
)
def test_each_glm_layout_is_run_as_the_library_class(
    family: Family, planned: str, tmp_path: Path
) -> None:
    plan = make_plan(glm_checkpoint(family, tmp_path), MODERN, ROOMY, (BROKEN_PAD,))
    assert (plan.route, plan.family) == ("native", planned)
    assert plan.implementation == "transformers.GlmForCausalLM"
    assert plan.kind == "chat"
    assert plan.context_tokens == 512
    assert plan.findings == ("TOK104",)
    assert any("query_key_value" in line for line in plan.mapped)
    assert any("TOK104" in line for line in plan.why)


def test_a_plan_survives_its_json_form(tmp_path: Path) -> None:
    plan = make_plan(glm_checkpoint("glm4", tmp_path), MODERN, ROOMY, (BROKEN_PAD,))
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("quantization_bit", 4),
        ("pre_seq_len", 128),
        ("rmsnorm", False),
        ("post_layer_norm", False),
        ("apply_residual_connection_post_layernorm", True),
        ("add_bias_linear", True),
        ("fp32_residual_connection", True),
        ("original_rope", False),
        ("num_layers", None),
        ("num_layers", "28"),
        ("padded_vocab_size", -1),
        ("kv_channels", 126),
        ("layernorm_epsilon", "small"),
        ("multi_query_group_num", 5),
        ("multi_query_attention", "yes"),
        ("rope_ratio", 0),
        ("rope_ratio", True),
        ("architectures", ["ChatGLMForSequenceClassification"]),
    ],
)
def test_what_glm_does_not_compute_is_refused_by_its_key(
    key: str, value: Any, tmp_path: Path
) -> None:
    checkpoint = glm_checkpoint("glm4", tmp_path, **{key: value})
    plan = make_plan(checkpoint, MODERN, ROOMY, (), NATIVE)
    assert plan.route == "refused"
    assert any(f"`{key}`" in reason for reason in plan.why)
    assert plan.mapped == ()


def test_an_unknown_key_is_refused_only_where_the_shipped_code_reads_it(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm3", tmp_path, vision_tower="eva", my_note="hello")
    assert make_plan(checkpoint, MODERN, ROOMY, ()).route == "native"
    modeling = checkpoint.remote_code["modeling_chatglm.py"]
    assert modeling.tree is not None
    reading = ast.parse(modeling.source + "\n\ndef look(config):\n    return config.vision_tower\n")
    seen = replace(modeling, tree=reading)
    checkpoint = replace(checkpoint, remote_code={**checkpoint.remote_code, seen.path: seen})
    plan = make_plan(checkpoint, MODERN, ROOMY, (), NATIVE)
    assert plan.route == "refused"
    assert "`vision_tower`" in plan.why[0]


def test_rope_ratio_is_refused_where_the_code_does_not_tell_what_it_means(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("glm4", tmp_path)
    modeling = checkpoint.remote_code["modeling_chatglm.py"]
    strange = modeling.source.replace(
        "base = base * self.rope_ratio", "base = base ** self.rope_ratio"
    )
    assert strange != modeling.source
    seen = replace(modeling, tree=ast.parse(strange))
    checkpoint = replace(checkpoint, remote_code={**checkpoint.remote_code, seen.path: seen})
    plan = make_plan(checkpoint, MODERN, ROOMY, (), NATIVE)
    assert plan.route == "refused"
    assert "`rope_ratio`" in plan.why[0]


def test_a_glm_checkpoint_without_its_code_is_refused(tmp_path: Path) -> None:
    checkpoint = replace(glm_checkpoint("chatglm2", tmp_path), remote_code={})
    plan = make_plan(checkpoint, MODERN, ROOMY, ())
    assert plan.route == "refused"
    assert "tokenizer code" in plan.why[0]


def test_the_first_published_config_without_model_type_is_recognised(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path, model_type=None, pad_token_id=None)
    plan = make_plan(checkpoint, MODERN, ROOMY, ())
    assert (plan.route, plan.family) == ("native", "chatglm2")


def test_chatglm_6b_is_refused_with_the_reason() -> None:
    checkpoint = plain_checkpoint(model_type="chatglm", position_encoding_2d=True, num_layers=28)
    plan = make_plan(checkpoint, MODERN, ROOMY, ())
    assert plan.route == "refused"
    assert "two-dimensional rope" in plan.why[0]


@pytest.mark.parametrize(
    ("family", "dtype", "codes"),
    [
        ("chatglm2", "float32", set()),
        ("chatglm2", "float16", {"ROPE-BF16"}),
        ("chatglm2", "bfloat16", {"ROPE-BF16", "DTYPE"}),
        ("chatglm3", "float16", set()),
        ("chatglm3", "bfloat16", {"DTYPE"}),
        ("glm4", "float32", set()),
    ],
)
def test_caveats_name_what_may_differ(
    family: Family, dtype: str, codes: set[str], tmp_path: Path
) -> None:
    checkpoint = glm_checkpoint(family, tmp_path)
    plan = make_plan(checkpoint, MODERN, ROOMY, (), Wishes(dtype=dtype))
    assert {caveat.code for caveat in plan.caveats} == codes


@pytest.mark.parametrize(("model_type", "codes"), [("mamba", {"ONE-AT-A-TIME"}), ("qwen2", set())])
def test_what_generate_answers_says_so(model_type: str, codes: set[str]) -> None:
    models = {**MODERN.library_models, "mamba": "MambaForCausalLM"}
    checkpoint = plain_checkpoint(model_type=model_type)
    environment = replace(MODERN, library_models=models)
    plan = make_plan(checkpoint, environment, ROOMY, (), Wishes(dtype="float32"))
    assert plan.route == "native"
    assert {caveat.code for caveat in plan.caveats} == codes


@pytest.mark.parametrize(
    ("hardware", "wishes", "device", "dtype"),
    [
        (ROOMY, Wishes(), "cpu", "float32"),
        (replace(ROOMY, has_native_bf16=True), Wishes(), "cpu", "bfloat16"),
        (ON_GPU, Wishes(), "cuda:0", "float16"),
        (ON_GPU, Wishes(device="cpu"), "cpu", "float32"),
        (ON_GPU, Wishes(device="cuda", dtype="bfloat16"), "cuda", "bfloat16"),
        (
            replace(ROOMY, gpus=(replace(GPU, total_bytes=4 * GIB),)),
            Wishes(),
            "cpu",
            "float32",
        ),
        (
            replace(ROOMY, gpus=(replace(GPU, total_bytes=4 * GIB), replace(GPU, index=1))),
            Wishes(),
            "cuda:1",
            "float16",
        ),
    ],
)
def test_device_and_dtype_follow_the_machine(
    hardware: Hardware, wishes: Wishes, device: str, dtype: str, tmp_path: Path
) -> None:
    plan = make_plan(glm_checkpoint("chatglm3", tmp_path), MODERN, hardware, (), wishes)
    assert (plan.route, plan.device, plan.dtype) == ("native", device, dtype)


def test_memory_is_counted_in_the_planned_dtype(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm3", tmp_path)
    half = make_plan(checkpoint, MODERN, ROOMY, (), Wishes(dtype="float16")).memory
    full = make_plan(checkpoint, MODERN, ROOMY, (), Wishes(dtype="float32")).memory
    assert half.weights_bytes == 2 * 6_243_584_000
    assert full.weights_bytes == 2 * half.weights_bytes
    # keys and values, layers, groups, channels, tokens, bytes
    assert half.kv_bytes_per_1k_tokens == 2 * 28 * 2 * 128 * 1000 * 2
    assert half.overhead_bytes - full.overhead_bytes == 4 * head._CPU_BLOCK_ELEMENTS


def test_of_a_large_head_no_more_than_a_block_is_counted_in_fp32(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("glm4", tmp_path, padded_vocab_size=151552)
    for device, elements in (("cpu", head._CPU_BLOCK_ELEMENTS), ("cuda", head._GPU_BLOCK_ELEMENTS)):
        memory = [
            make_plan(checkpoint, MODERN, ON_GPU, (), Wishes(dtype=dtype, device=device)).memory
            for dtype in ("bfloat16", "float32")
        ]
        assert memory[0].overhead_bytes - memory[1].overhead_bytes == 4 * elements


def test_a_model_that_does_not_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    small = replace(ROOMY, host_total_bytes=16 * GIB)
    plan = make_plan(glm_checkpoint("chatglm3", tmp_path), MODERN, small, ())
    assert plan.route == "refused"
    assert "23.3 GiB of weights" in plan.why[0]
    assert "16.0 GiB" in plan.why[0]
    assert "`--dtype bfloat16` halves" in plan.why[0]
    smaller = replace(ROOMY, host_total_bytes=8 * GIB)
    wishes = Wishes(dtype="bfloat16")
    narrow = make_plan(glm_checkpoint("chatglm3", tmp_path), MODERN, smaller, (), wishes)
    assert narrow.route == "refused"
    assert "--dtype" not in narrow.why[0]


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    wishes = Wishes(device="cuda:3")
    plan = make_plan(glm_checkpoint("chatglm3", tmp_path), MODERN, ON_GPU, (), wishes)
    assert plan.route == "refused"
    assert "`cuda:3`" in plan.why[0]
    assert "cuda:0" in plan.why[0]


@pytest.mark.parametrize("key", ["seq_length", "max_position_embeddings"])
def test_a_context_that_no_model_has_is_refused_by_its_key(key: str) -> None:
    for tokens, route in ((2**31, "native"), (2**31 + 1, "refused"), (99_999_999_999, "refused")):
        config: dict[str, Any] = {"model_type": "qwen2", key: tokens}
        plan = make_plan(plain_checkpoint(**config), MODERN, ROOMY, ())
        assert plan.route == route
        assert route == "native" or f"`{key}` in config.json is {tokens}" in plan.why[0]
    silent = plain_checkpoint(model_type="qwen2")
    with pytest.raises(ConfigError, match="at most"):
        make_plan(silent, MODERN, ROOMY, (), Wishes(context_tokens=2**31 + 1))


def test_a_pinned_route_is_the_only_one_that_is_looked_at(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    plan = make_plan(checkpoint, MODERN, ROOMY, (), Wishes(route="fixed"))
    assert (plan.route, plan.consent) == ("fixed", "needed")
    assert plan.implementation == "modeling_chatglm.ChatGLMForConditionalGeneration"
    closed = replace(BROKEN_PAD, code="ENV102", cause="a package is missing")
    refused = make_plan(checkpoint, MODERN, ROOMY, (closed,), Wishes(route="fixed"))
    assert refused.route == "refused"
    assert "ENV102" in " ".join(refused.why)
    assert refused.other_route == "native"


def test_a_route_that_runs_own_code_is_closed_to_a_model_without_any() -> None:
    checkpoint = plain_checkpoint(model_type="qwen2", architectures=["Qwen2ForCausalLM"])
    plan = make_plan(checkpoint, MODERN, ROOMY, (), Wishes(route="fixed"))
    assert plan.route == "refused"
    assert "no code of its own" in plan.why[0]
    assert plan.other_route == "native"


def test_an_interpreter_that_no_route_takes_is_told() -> None:
    checkpoint = plain_checkpoint(model_type="qwen2", architectures=["Qwen2ForCausalLM"])
    plan = make_plan(checkpoint, MODERN, ROOMY, (), Wishes(python="/env"))
    assert (plan.route, plan.other_route) == ("native", None)
    assert any("`/env` is not used" in reason for reason in plan.why)


def test_the_fixed_route_is_taken_where_the_native_one_is_closed(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path, pre_seq_len=128)
    plan = make_plan(checkpoint, MODERN, ROOMY, ())
    assert (plan.route, plan.consent) == ("fixed", "needed")
    assert any(each.startswith("not `native`:") and "`pre_seq_len`" in each for each in plan.why)


def test_a_finding_that_blocks_the_native_route_refuses_the_plan(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    plan = make_plan(checkpoint, MODERN, ROOMY, (BROKEN_PAD, MISSING_SHARD))
    assert plan.route == "refused"
    assert plan.why[0] == "DIR103: a shard is missing"
    assert plan.findings == ()
    assert plan.consent == "not needed"


@pytest.mark.parametrize(
    "wishes",
    [
        Wishes(route="fast"),
        Wishes(dtype="int3"),
        Wishes(device="tpu"),
        Wishes(engine="magic"),
        Wishes(context_tokens=0),
        Wishes(context_tokens=513),
    ],
)
def test_a_wish_that_cannot_be_meant_is_a_config_error(wishes: Wishes, tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    with pytest.raises(ConfigError):
        make_plan(checkpoint, MODERN, ROOMY, (), wishes)


def test_a_shorter_context_is_taken_over(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    assert (
        make_plan(checkpoint, MODERN, ROOMY, (), Wishes(context_tokens=100)).context_tokens == 100
    )


def test_models_of_the_library_run_as_their_own_class_in_spite_of_remote_code() -> None:
    checkpoint = plain_checkpoint(
        model_type="qwen2",
        auto_map={"AutoModelForCausalLM": "modeling_qwen2.Qwen2ForCausalLM"},
        max_position_embeddings=4096,
    )
    checkpoint = replace(checkpoint, tokenizer_config={"chat_template": "{{ messages }}"})
    plan = make_plan(checkpoint, MODERN, ROOMY, ())
    assert (plan.route, plan.implementation) == ("native", "transformers.Qwen2ForCausalLM")
    assert (plan.kind, plan.context_tokens) == ("chat", 4096)
    assert "none of the model's own code runs" in plan.why


def test_a_library_model_without_chat_template_completes() -> None:
    plan = make_plan(plain_checkpoint(model_type="gptj", n_positions=2048), MODERN, ROOMY, ())
    assert (plan.route, plan.kind, plan.context_tokens) == ("native", "completion", 2048)


def test_an_encoder_embeds_and_a_wish_for_text_is_refused() -> None:
    checkpoint = plain_checkpoint(model_type="bert", hidden_size=8)
    plan = make_plan(checkpoint, MODERN, ROOMY, ())
    assert (plan.route, plan.kind, plan.dtype) == ("native", "embedding", "float32")
    assert plan.implementation == "transformers.BertModel"
    refused = make_plan(checkpoint, MODERN, ROOMY, (), Wishes(kind="chat"))
    assert refused.route == "refused"
    assert "`bert` has no causal language model in transformers" in refused.why[0]


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bart", "architectures": ["BartForConditionalGeneration"]},
        {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
        {"model_type": "bart"},
    ],
)
def test_a_model_of_an_encoder_and_a_decoder_is_said_to_be_one(config: dict[str, Any]) -> None:
    checkpoint = plain_checkpoint(**config, is_encoder_decoder=True)
    environment = replace(MODERN, library_models={"bart": "BartForCausalLM", "t5": None})
    plan = make_plan(checkpoint, environment, ROOMY, (), Wishes(kind="chat"))
    assert (plan.route, plan.implementation) == ("refused", None)
    assert "is a sequence-to-sequence model" in plan.why[0]


def test_the_decoder_of_such_a_model_generates_by_itself() -> None:
    checkpoint = plain_checkpoint(
        model_type="bart", architectures=["BartForCausalLM"], is_encoder_decoder=False
    )
    environment = replace(MODERN, library_models={"bart": "BartForCausalLM"})
    assert make_plan(checkpoint, environment, ROOMY, ()).route == "native"


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"model_type": "vit", "architectures": ["ViTModel"]}, "takes images, not text"),
        ({"model_type": "clip", "architectures": ["CLIPModel"]}, "makes no vector of a text alone"),
    ],
)
def test_models_without_a_vector_of_a_text_are_no_embedding_models(
    config: dict[str, Any], word: str
) -> None:
    environment = replace(
        MODERN,
        library_models={"vit": None, "clip": None},
        library_bases={"vit": "ViTModel", "clip": "CLIPModel"},
    )
    plan = make_plan(plain_checkpoint(**config), environment, ROOMY, ())
    assert (plan.route, plan.implementation) == ("refused", None)
    assert word in plan.why[0]


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"model_type": "moss"}, "`moss`"),
        ({"model_type": "baichuan"}, "no modeling code"),
        ({"model_type": "internlm2"}, "no modeling code"),
        ({}, "`model_type`"),
        ({"model_type": "qwen2", "quantization_config": {"bits": 4}}, "`quantization_config`"),
        (
            {"model_type": "qwen2", "text_config": {"_attn_implementation_internal": "x/y"}},
            "`_attn_implementation_internal`",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(config: dict[str, Any], word: str) -> None:
    plan = make_plan(plain_checkpoint(**config), MODERN, ROOMY, ())
    assert plan.route == "refused"
    assert any(word in reason for reason in plan.why)


def test_another_version_is_planned_for_by_its_number_alone(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    assert make_plan(checkpoint, assumed("4.57.6"), ROOMY, ()).route == "native"
    old = make_plan(checkpoint, assumed("4.41.2"), ROOMY, ())
    assert old.route == "refused"
    assert "4.56.0" in old.why[0]


def test_an_assumed_version_has_what_an_earlier_one_saved() -> None:
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "transformers_version": "4.40.0",
    }
    plan = make_plan(plain_checkpoint(**config), assumed("99.0"), ROOMY, ())
    assert (plan.route, plan.implementation) == ("native", "transformers.LlamaForCausalLM")
    assert "4.40.0" in plan.why[0]
    later = plain_checkpoint(**{**config, "transformers_version": "99.1"})
    assert make_plan(later, assumed("99.0"), ROOMY, ()).route == "refused"


@pytest.mark.parametrize("saved_by", [{}, {"transformers_version": "5.23.0"}])
def test_an_assumed_version_has_what_its_sources_had_whoever_saved_the_model(
    saved_by: dict[str, Any],
) -> None:
    checkpoint = plain_checkpoint(
        model_type="qwen2", architectures=["Qwen2ForCausalLM"], **saved_by
    )
    for version in ("4.56.0", "4.56.2", "4.57.1", "5.3.0", "5.23.0"):
        plan = make_plan(checkpoint, assumed(version), ROOMY, ())
        assert (plan.route, plan.implementation) == ("native", "transformers.Qwen2ForCausalLM")
        assert f"transformers {version} implements `qwen2`" in plan.why[0]


@pytest.mark.parametrize("version", ["99.0", "5.99.0"])
def test_a_version_whose_files_alone_would_tell_is_not_said_to_lack_a_model(version: str) -> None:
    plan = make_plan(plain_checkpoint(model_type="qwen2"), assumed(version), ROOMY, ())
    assert plan.route == "refused"
    assert "cannot be told" in plan.why[0]
    assert "--python" in plan.why[0]
    assert "neither" not in plan.why[0]


@pytest.mark.parametrize(
    ("model_type", "version"),
    [("qwen3_next", "4.56.0"), ("gemma4", "5.0.0"), ("open-llama", "5.23.0"), ("nobody", "5.1")],
)
def test_a_version_that_lacks_a_model_is_said_to(model_type: str, version: str) -> None:
    plan = make_plan(plain_checkpoint(model_type=model_type), assumed(version), ROOMY, ())
    assert plan.route == "refused"
    assert "neither implemented" in plan.why[0]


def test_weights_without_readable_headers_are_estimated_from_the_files() -> None:
    checkpoint = plain_checkpoint(model_type="gptj", torch_dtype="float16")
    weights = replace(weights_of("F16", 1000), format="pickle", tensors={})
    checkpoint = replace(checkpoint, weights=weights)
    plan = make_plan(checkpoint, MODERN, ROOMY, (), Wishes(dtype="float32"))
    assert plan.memory.weights_bytes == 4000


def test_planning_imports_no_torch() -> None:
    program = (
        "import sys; from trueup.adapt.planning import plan_model; plan_model('demo');"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'numpy')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(("model_type", "family"), [("qwen2", "qwen2"), ("foo", None)])
def test_a_refusal_of_an_old_version_knows_whether_a_newer_one_would_run_the_model(
    model_type: str, family: str | None
) -> None:
    plan = make_plan(plain_checkpoint(model_type=model_type), assumed("4.49.0"), ROOMY, ())
    assert "older than 4.56.0" in plan.why[0]
    assert (plan.route, plan.family, plan.implementation) == ("refused", family, None)


def test_a_refusal_of_an_old_version_knows_a_mapped_family(tmp_path: Path) -> None:
    plan = make_plan(glm_checkpoint("chatglm2", tmp_path), assumed("4.49.0"), ROOMY, ())
    assert (plan.route, plan.family) == ("refused", "chatglm2")
