from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapt.facts import GPU, MODERN, ROOMY, glm_checkpoint, plain_checkpoint
from trueup.adapt.plan import Plan
from trueup.adapt.planning import Wishes, make_plan
from trueup.adapt.wishes import NO_WISHES
from trueup.checkpoint.checkpoint import Checkpoint, SentenceModule, SentenceModules
from trueup.environment.environment import Hardware
from trueup.errors import ConfigError

CODEBERT = {
    "model_type": "roberta",
    "architectures": ["RobertaModel"],
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 514,
    "pad_token_id": 1,
    "vocab_size": 50265,
}
ON_GPU = replace(ROOMY, gpus=(GPU,))
EMBEDDING = Wishes(kind="embedding")


def plan(
    config: dict[str, Any] | None = None,
    wishes: Wishes = NO_WISHES,
    *,
    hardware: Hardware = ROOMY,
    sentence: SentenceModules | None = None,
    **overrides: Any,
) -> Plan:
    checkpoint = plain_checkpoint(**{**(CODEBERT if config is None else config), **overrides})
    return make_plan(with_modules(checkpoint, sentence), MODERN, hardware, (), wishes)


def with_modules(checkpoint: Checkpoint, sentence: SentenceModules | None) -> Checkpoint:
    return checkpoint if sentence is None else replace(checkpoint, sentence=sentence)


def modules(*more: str, pooling: dict[str, Any] | None = None, **settings: Any) -> SentenceModules:
    """Transformer and Pooling, and the modules named."""
    config = {"pooling_mode_cls_token": True} if pooling is None else pooling
    listed = [
        SentenceModule(type="Transformer", path="", config={}),
        SentenceModule(type="Pooling", path="1_Pooling", config=config),
        *(SentenceModule(type=name, path=f"2_{name}", config={}) for name in more),
    ]
    transformer = settings.pop("transformer", {})
    return SentenceModules(
        is_present=True, modules=tuple(listed), settings=settings, transformer=transformer
    )


def test_codebert_embeds_as_the_class_without_a_head() -> None:
    made = plan()
    assert (made.route, made.kind, made.dtype, made.device) == (
        "native",
        "embedding",
        "float32",
        "cpu",
    )
    assert made.implementation == "transformers.RobertaModel"
    assert made.embedding is not None
    assert (made.embedding.pooling, made.embedding.normalize) == ("mean", True)
    assert made.embedding.dimensions == 768
    assert made.memory.kv_bytes_per_1k_tokens == 0
    assert [caveat.code for caveat in made.caveats] == ["POOLING"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, 512),
        ({"pad_token_id": None}, 512),
        ({"pad_token_id": 0}, 513),
        ({"model_type": "mpnet", "architectures": ["MPNetModel"]}, 512),
        ({"model_type": "bert", "architectures": ["BertModel"]}, 514),
        ({"max_position_embeddings": None}, None),
    ],
)
def test_positions_that_count_from_the_padding_id_are_no_context(
    overrides: dict[str, Any], expected: int | None
) -> None:
    assert plan(**overrides).context_tokens == expected


def test_the_smallest_of_the_limits_is_the_context() -> None:
    assert plan(sentence=modules(transformer={"max_seq_length": 128})).context_tokens == 128
    assert plan(sentence=modules(transformer={"max_seq_length": 4096})).context_tokens == 512
    assert plan(wishes=Wishes(context_tokens=64)).context_tokens == 64


@pytest.mark.parametrize(("limit", "expected"), [(256, 256), (int(1e30), 512), ("512", 512)])
def test_the_tokenizers_limit_counts_where_it_is_one(limit: Any, expected: int) -> None:
    checkpoint = replace(plain_checkpoint(**CODEBERT), tokenizer_config={"model_max_length": limit})
    assert make_plan(checkpoint, MODERN, ROOMY, ()).context_tokens == expected


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ({"architectures": ["RobertaForMaskedLM"]}, "embedding"),
        ({"architectures": []}, "completion"),
        ({"architectures": ["RobertaForCausalLM"]}, "completion"),
        ({"model_type": "qwen2", "architectures": ["Qwen2Model"]}, "embedding"),
        ({"model_type": "bert", "architectures": None}, "embedding"),
    ],
)
def test_the_class_that_the_config_names_tells_what_a_model_is_for(
    overrides: dict[str, Any], kind: str
) -> None:
    made = plan(**overrides)
    assert (made.kind == "embedding") is (kind == "embedding")
    assert (made.embedding is not None) is (kind == "embedding")


def test_a_wish_decides_the_kind() -> None:
    causal = {**CODEBERT, "architectures": ["RobertaForCausalLM"]}
    made = plan(causal, EMBEDDING)
    assert (made.kind, made.implementation) == ("embedding", "transformers.RobertaModel")
    assert plan(causal, Wishes(kind="chat")).implementation == "transformers.RobertaForCausalLM"
    headless = plan(wishes=Wishes(kind="chat"))
    assert headless.route == "refused"
    assert "config.json names `RobertaModel`, which has no language model head" in headless.why[0]
    refused = plan({**CODEBERT, "model_type": "bert"}, Wishes(kind="chat"))
    assert refused.route == "refused"
    assert "`kind: embedding`" in refused.why[0]


def test_sentence_transformers_modules_tell_an_embedding_model() -> None:
    causal = {**CODEBERT, "architectures": ["RobertaForCausalLM"]}
    assert plan(causal, sentence=modules()).kind == "embedding"


def test_a_chatglm_is_never_taken_for_an_encoder(tmp_path: Path) -> None:
    """Its config names `ChatGLMModel`, which generates."""
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    assert checkpoint.architectures == ("ChatGLMModel",)
    made = make_plan(checkpoint, MODERN, ROOMY, ())
    assert (made.route, made.kind, made.embedding) == ("native", "chat", None)
    refused = make_plan(checkpoint, MODERN, ROOMY, (), EMBEDDING)
    assert refused.route == "refused"
    assert "generates text; `kind: embedding` was asked for" in refused.why[0]


def test_a_chatglm_whose_code_has_but_one_class_generates_all_the_same(tmp_path: Path) -> None:
    checkpoint = glm_checkpoint("chatglm2", tmp_path)
    auto_map = {
        name: place
        for name, place in checkpoint.auto_map.items()
        if name in ("AutoConfig", "AutoModel", "AutoTokenizer")
    }
    made = make_plan(replace(checkpoint, auto_map=auto_map), MODERN, ROOMY, ())
    assert (made.route, made.kind, made.embedding) == ("native", "chat", None)


def test_code_of_its_own_that_generates_is_no_encoder_though_the_family_is_unknown() -> None:
    auto_map = {"AutoModelForCausalLM": "modeling_x.XModel"}
    made = plan({"model_type": "x", "architectures": ["XModel"], "auto_map": auto_map})
    assert (made.kind, made.route) == ("chat", "refused")


def test_a_model_of_encoder_and_decoder_is_refused_by_the_key() -> None:
    made = plan(
        {"model_type": "t5", "architectures": ["T5Model"], "is_encoder_decoder": True}, EMBEDDING
    )
    assert made.route == "refused"
    assert "`is_encoder_decoder`" in made.why[0]


def test_a_module_that_is_not_computed_is_refused_by_its_name() -> None:
    made = plan(sentence=modules("Dense"))
    assert (made.route, made.embedding) == ("refused", None)
    assert "modules.json has a `Dense`" in made.why[0]


@pytest.mark.parametrize(
    ("pooling", "named"),
    [
        ({"pooling_mode_max_tokens": True}, "`max_tokens`"),
        ({"pooling_mode": "max"}, "`max`"),
        ({"pooling_mode": ["mean", "cls"]}, "`mean` and `cls`"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "`mean` and `cls`"),
        ({}, "no mode"),
    ],
)
def test_a_pooling_that_is_not_computed_is_refused_by_its_name(
    pooling: dict[str, Any], named: str
) -> None:
    made = plan(sentence=modules(pooling=pooling))
    assert made.route == "refused"
    assert f"1_Pooling/config.json pools by {named}" in made.why[0]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False}, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": ["cls"]}, "cls"),
        # Beside the new key the old ones say nothing.
        ({"pooling_mode": "mean", "pooling_mode_cls_token": True}, "mean"),
    ],
)
def test_the_pooling_of_both_formats_is_read(pooling: dict[str, Any], expected: str) -> None:
    made = plan(sentence=modules(pooling=pooling))
    assert made.embedding is not None
    assert (made.embedding.pooling, made.caveats) == (expected, ())
    assert any("the model's own settings" in line for line in made.why)


def test_normalisation_is_the_modules_or_the_wish() -> None:
    def is_normalised(made: Plan) -> bool:
        assert made.embedding is not None
        return made.embedding.normalize

    assert not is_normalised(plan(sentence=modules()))
    assert is_normalised(plan(sentence=modules("Normalize")))
    assert is_normalised(plan(wishes=Wishes(normalize=True), sentence=modules()))
    assert not is_normalised(plan(wishes=Wishes(normalize=False)))


def test_another_pooling_than_published_is_done_and_said() -> None:
    made = plan(wishes=Wishes(pooling="mean"), sentence=modules())
    assert made.embedding is not None
    assert made.embedding.pooling == "mean"
    (caveat,) = made.caveats
    assert "published with pooling `cls`, and `mean` was asked for" in caveat.text
    assert plan(wishes=Wishes(pooling="cls"), sentence=modules()).caveats == ()
    assert plan(wishes=Wishes(pooling="last")).caveats == ()


def test_prompts_are_the_models_own() -> None:
    made = plan(
        sentence=modules(prompts={"query": "q: ", "document": ""}, default_prompt_name="document")
    )
    assert made.embedding is not None
    assert dict(made.embedding.prompts) == {"query": "q: "}
    assert made.embedding.default_prompt is None


def test_prompts_left_out_of_the_pooling_are_refused() -> None:
    pooling = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    assert plan(sentence=modules(pooling=pooling)).route == "native"
    made = plan(sentence=modules(pooling=pooling, prompts={"query": "q: "}))
    assert made.route == "refused"
    assert "`include_prompt`" in made.why[0]


def test_a_gpu_is_used_in_the_dtype_of_the_file_and_a_cpu_in_fp32() -> None:
    made = plan(hardware=ON_GPU)
    assert (made.device, made.dtype, made.engine) == ("cuda:0", "float32", "torch")
    bf16 = replace(ROOMY, has_native_bf16=True)
    assert plan(hardware=bf16).dtype == "float32"
    assert plan(wishes=Wishes(dtype="bfloat16")).dtype == "bfloat16"


@pytest.mark.parametrize("wishes", [Wishes(dtype="int8"), Wishes(engine="onnxruntime")])
def test_int8_is_computed_by_onnxruntime_on_the_cpu_though_there_is_a_gpu(wishes: Wishes) -> None:
    made = plan(wishes=wishes, hardware=ON_GPU)
    assert (made.route, made.device, made.dtype, made.engine) == (
        "native",
        "cpu",
        "int8",
        "onnxruntime",
    )


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        (Wishes(dtype="int8", kind="chat"), "is for embedding models"),
        (Wishes(dtype="int8", device="cuda"), "is computed on a CPU, and `cuda` was asked for"),
        (Wishes(dtype="int8", engine="torch"), "computed by `onnxruntime`, and `torch` was"),
        (Wishes(dtype="bfloat16", engine="onnxruntime"), "`torch`, and `onnxruntime` was asked"),
    ],
)
def test_int8_that_cannot_be_is_refused_with_the_reason(wishes: Wishes, reason: str) -> None:
    made = plan(wishes=wishes, hardware=ON_GPU)
    assert made.route == "refused"
    assert any(reason in line for line in made.why)


@pytest.mark.parametrize(
    ("wishes", "where"),
    [
        (Wishes(pooling="max"), "pooling"),
        (Wishes(kind="embeddings"), "kind"),
        (Wishes(engine="onnx"), "engine"),
        (Wishes(dtype="int4"), "dtype"),
    ],
)
def test_a_word_that_is_not_understood_is_told_with_the_choices(wishes: Wishes, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(wishes=wishes)
    assert caught.value.where == where
    assert "expected one of" in caught.value.cause


@pytest.mark.parametrize("wishes", [Wishes(), Wishes(dtype="int8"), Wishes(pooling="last")])
def test_an_embedding_plan_survives_its_json_form(wishes: Wishes) -> None:
    made = plan(wishes=wishes, sentence=modules(prompts={"query": "q: "}))
    assert Plan.from_dict(json.loads(json.dumps(made.as_dict()))) == made


def test_a_classifier_is_embedded_with_a_caveat_that_names_it() -> None:
    made = plan({**CODEBERT, "architectures": ["RobertaForSequenceClassification"]})
    assert made.kind == "embedding"
    assert any(
        each.code == "HEAD" and "`RobertaForSequenceClassification`" in each.text
        for each in made.caveats
    )
    masked = plan({**CODEBERT, "architectures": ["RobertaForMaskedLM"]})
    assert "HEAD" not in [each.code for each in masked.caveats]
