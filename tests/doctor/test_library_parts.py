"""What the library itself brings to a model: its names, configurations, tables and layers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.doctor.facts import checkpoint, environment
from tests.doctor.models import Code, config, model
from trueup.doctor.examine import examine
from trueup.environment.environment import Environment

STAR = "from transformers.models.bert.modeling_bert import *\n\n\nclass Y({base}):\n    pass"
ROPE = "from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS"
BERT = """\
from transformers import BertConfig, PreTrainedModel


class XForCausalLM(PreTrainedModel):
    config_class = BertConfig

    def __init__(self, config):
        super().__init__(config)
        self.size = config.{name}
        self.post_init()
"""
LAYERS = {
    "imports": "from transformers.models.gemma2.modeling_gemma2 import Gemma2DecoderLayer",
    "inner": "self.first = Gemma2DecoderLayer(config, 0)",
    "forward": "hidden = self.first(hidden, attention_mask=attention_mask)",
}


def assumed(version: str) -> Environment:
    return replace(environment(version), is_assumed=True, library_models={})


def errors(code: Code, version: str, **more: str) -> list[str]:
    findings = examine(checkpoint(**code), environment(version, **more))
    return [f"{each.code} {each.stage}" for each in findings if each.severity == "error"]


@pytest.mark.parametrize(
    ("base", "version", "expected"),
    [
        ("BertEmbeddings", "4.41.2", []),  # before `__all__` a star took every public name
        ("BertEmbeddings", "4.57.6", ["CODE101 import"]),
        ("BertLayer", "4.57.6", []),
        ("nn.Module", "4.57.6", []),
    ],
)
def test_a_star_takes_what_the_module_of_that_release_gives(
    base: str, version: str, expected: list[str]
) -> None:
    assert errors(model(imports=STAR.format(base=base)), version) == expected


@pytest.mark.parametrize(
    ("key", "version", "expected"),
    [("default", "4.57.6", []), ("default", "5.23.0", ["CODE101 init"]), ("yarn", "5.23.0", [])],
)
def test_a_table_of_functions_has_those_of_its_release(
    key: str, version: str, expected: list[str]
) -> None:
    code = model(imports=ROPE, inner=f'self.rope = ROPE_INIT_FUNCTIONS["{key}"]')
    assert errors(code, version) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("hidden_size", []), ("num_labels", []), ("no_such_thing", ["CFG104 init"])],
)
def test_a_configuration_of_the_librarys_own_is_known(name: str, expected: list[str]) -> None:
    facts = checkpoint(
        modeling=BERT.format(name=name),
        config={"model_type": "bert", "hidden_size": 8},
        auto_map={"AutoModelForCausalLM": "modeling_x.XForCausalLM"},
    )
    findings = examine(facts, assumed("4.57.6"))
    told = [f"{each.code} {each.stage}" for each in findings if each.severity == "error"]
    assert [each for each in told if each.endswith("init")] == expected


def test_a_release_without_the_type_cannot_load_code_that_brings_no_configuration() -> None:
    facts = checkpoint(
        modeling=BERT.format(name="hidden_size"),
        config={"model_type": "modernbert"},
        auto_map={"AutoModelForCausalLM": "modeling_x.XForCausalLM"},
    )
    (finding, *_) = examine(facts, assumed("4.41.2"))
    assert (finding.code, finding.exception, finding.until) == ("CFG103", "ValueError", "4.48.0")
    assert "CFG103" not in {each.code for each in examine(facts, assumed("4.49.0"))}


@pytest.mark.parametrize(("version", "expected"), [("4.47.1", []), ("4.48.3", ["SIG102 forward"])])
def test_a_call_of_the_librarys_own_layer_is_compared_with_it(
    version: str, expected: list[str]
) -> None:
    settings = config(after="self.rms_norm_eps = 1e-6\nself.sliding_window = 8")
    told = errors(model(settings, **LAYERS), version)
    assert [each for each in told if each.endswith("forward")] == expected


def test_what_a_missing_package_would_have_bound_is_missed() -> None:
    code = model(
        imports="from transformers.utils import is_flash_attn_2_available\n\n"
        "if is_flash_attn_2_available():\n    has_windows = True",
        forward="if has_windows:\n    hidden = hidden + 1",
    )
    assert errors(code, "4.57.6") == ["CODE101 forward"]
    assert errors(code, "4.57.6", **{"flash-attn": "2.7.0"}) == []


def test_a_decoder_is_given_ids_of_its_own() -> None:
    code = model(body="if decoder_input_ids is None:\n    raise ValueError('none')")
    modeling = code["modeling"].replace(
        "self, input_ids, attention_mask=None, past_key_values=None, use_cache=None,",
        "self, input_ids, attention_mask=None, decoder_input_ids=None, past_key_values=None,"
        " use_cache=None,",
    )
    assert "decoder_input_ids=None" in modeling
    assert "CODE101 forward" not in errors({**code, "modeling": modeling}, "4.57.6")


def test_a_type_that_no_release_has_is_told_on_every_release() -> None:
    facts = checkpoint(config={"model_type": "qwen4000", "architectures": ["LlamaForCausalLM"]})
    for version in ("4.41.2", "5.23.0"):
        findings = examine(facts, assumed(version))
        assert [each.code for each in findings] == ["CFG103"]
        assert "no release of transformers that is known" in findings[0].cause


def test_the_hint_about_a_type_that_is_gone_names_the_release_that_had_it() -> None:
    facts = checkpoint(config={"model_type": "nezha", "architectures": ["NezhaModel"]})
    (finding, *_) = examine(facts, environment("5.23.0"))
    assert (finding.code, finding.hint) == ("CFG103", "use a transformers before 5.0.0")
