"""Every fix: code that it leaves alone, and code that it repairs, at both sides of its version."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.adapt.fixes.facts import chosen, repaired
from trueup.adapt.fixes import FIXES
from trueup.doctor.rules import RULES
from trueup.doctor.rules.walked import FAILURE_RULES

PAGE = Path(__file__).parents[3] / "docs" / "fixes.md"

PAD = "class XTokenizer(Base):\n    def _pad(self, encoded, max_length=None{more}):\n        pass\n"
CONFIG = (
    "class XConfig(Base):\n{more}    def __init__(self, {name}=2):\n        self.{name} = {name}\n"
)
MODEL = "class XForCausalLM(PreTrainedModel{base}):\n    def {method}\n"
FORWARD = MODEL.format(base="", method="forward(self, x, config):\n        return {body}")
PREPARE = "prepare_inputs_for_generation(self, input_ids, **kwargs):\n        {body}"
UPDATE = "_update_model_kwargs_for_generation(self, outputs, kwargs{more}):\n        {body}"
TOKENIZER = (
    "class XTokenizer(Base):\n    def __init__(self, file, **kwargs):\n"
    "        {first}\n        {then}\n"
)
SUPER, SET = "super().__init__(**kwargs)", "self.sp_model = load(file)"
TABLE = (
    "class Rotary(Module):\n    def __init__(self):\n"
    "        self.register_buffer('table', made(), persistent={kept})\n\n\n"
    "class XForCausalLM(PreTrainedModel):\n    def forward(self, x):\n        return x\n"
)
TIED = (
    "class XForCausalLM(PreTrainedModel):\n    _tied_weights_keys = {keys}\n\n"
    "    def get_input_embeddings(self):\n        return self.model.embed\n"
)
MASKS = (
    "class XForCausalLM(PreTrainedModel):\n    def get_masks(self, ids, device):\n        pass\n\n"
    "    def prepare_inputs_for_generation(self, ids, attention_mask=None):\n        pass\n"
)
TRIL = "class XTokenizer(Base):\n    def _pad(self, encoded, padding_side=None):\n        {body}\n"
STREAM = "stream_generate(self, input_ids):\n        {body}"
PROPERTY = (
    "class XForCausalLM(PreTrainedModel):\n{more}    def _supports_sdpa(self):\n"
    "        return self.model.ok\n"
)
CUMSUM = "position_ids = kwargs.get('position_ids'{none})\n        return mask.cumsum(-1)"

# name, transformers, code -> what stands in the repaired code
EFFECTS = [
    ("pad-signature", "4.45.0", {"tokenizer": PAD.format(more="")}, "padding_side=None"),
    ("layer-count", "4.56.0", {"config": CONFIG.format(name="num_layers", more="")},
     '{"num_hidden_layers": "num_layers"}'),
    ("config-defaults", "5.0.0", {"model": FORWARD.format(body="config.max_length")},
     'getattr(config, "max_length", 20)'),
    ("config-defaults", "5.0.0", {"model": FORWARD.format(body="self.config.use_cache")},
     'getattr(self.config, "use_cache", True)'),
    ("vocabulary-first", "4.34.0", {"tokenizer": TOKENIZER.format(first=SUPER, then=SET)},
     f"        {SET}\n        {SUPER}"),
    ("vocabulary-first", "4.34.0",
     {"tokenizer": TOKENIZER.format(
         first=SUPER, then="ranks = load(file)\n        self.ranks = ranks")},
     f"        ranks = load(file)\n        self.ranks = ranks\n        {SUPER}"),
    ("post-init", "5.0.0",
     {"model": MODEL.format(base="", method="__init__(self, config):\n        pass")},
     "self.post_init()"),
    ("tied-keys", "5.0.0", {"model": TIED.format(keys='["lm_head.weight"]')},
     '_tied_weights_keys = {"lm_head.weight": "model.embed.weight"}'),
    ("kept-buffers", "5.0.0", {"model": TABLE.format(kept="False")}, 'with torch.device("cpu")'),
    ("generation-mixin", "4.50.0",
     {"model": MODEL.format(base="", method=PREPARE.format(body="pass"))},
     "class XForCausalLM(PreTrainedModel, GenerationMixin)"),
    ("batch-call", "5.0.0", {"model": FORWARD.format(body="x.batch_encode_plus([x], a=1)")},
     "return x([x], a=1)"),
    ("own-stream", "4.43.0",
     {"model": MODEL.format(base="", method=STREAM.format(body="self._get_logits_warper()"))},
     "streamer=Streamer()"),
    ("removed-imports", "4.56.0",
     {"model": "from transformers.utils import is_torch_fx_available, logging\n"},
     "except ImportError:\n    def is_torch_fx_available"),
    ("removed-imports", "5.23.0",
     {"model": "from transformers import BeamSearchScorer\n"},
     "        raise ImportError(\"transformers no longer has `BeamSearchScorer`"),
    ("cpu-construction", "5.0.0",
     {"model": MODEL.format(base="", method="__init__(self, config):\n"
                            "        self.rates = [each.item() for each in made()]")},
     'with torch.device("cpu")'),
    ("loaded-weights", "5.1.0",
     {"model": MODEL.format(base="", method="_init_weights(self, module):\n"
                            "        module.weight.data.normal_()")},
     "weight.data = value"),
    ("late-imports", "4.56.0",
     {"model": FORWARD.format(body="x").replace("return", "import absent\n        return")},
     "try:\n            import absent\n        except ImportError:\n            raise"),
    ("registered-again", "4.56.0",
     {"config": CONFIG.format(name="a", more="") + '\n\nAutoConfig.register("x", XConfig)\n'},
     "self.a = a"),
    ("attention-support", "4.54.0", {"model": PROPERTY.format(more="    @property\n")},
     "_supports_sdpa = False"),
    ("rope-type", "5.0.0", {"model": FORWARD.format(body='self.config.rope_scaling["type"]')},
     '_published_rope_scaling(self.config)["type"]'),
    ("flat-mask", "4.45.0",
     {"model": MASKS, "tokenizer": TRIL.format(body="return numpy.tril(encoded)")},
     "masks | hidden[:, None, None, :]"),
    ("head-mask", "5.0.0", {"model": FORWARD.format(body="self.get_head_mask(x, 2)")},
     "return [None] * num_hidden_layers"),
    ("cache-methods", "4.49.0", {"model": FORWARD.format(body="x.get_usable_length(3, 1)")},
     "return x.get_seq_length(1)"),
    ("cache-methods", "4.49.0", {"model": FORWARD.format(body="x.past_kv.get_max_length()")},
     "return _cache_limit(x.past_kv)"),
    ("cache-methods", "4.49.0", {"model": FORWARD.format(body="self.kv_cache.get_max_length()")},
     "return _cache_limit(self.kv_cache)"),
    ("model-arguments", "4.44.0",
     {"model": MODEL.format(base="", method=UPDATE.format(more="", body="attention_mask"))},
     "num_new_tokens=1"),
    ("position-ids", "5.0.0",
     {"model": MODEL.format(base="", method=PREPARE.format(body=CUMSUM.format(none=", None")))},
     'kwargs.pop("position_ids", None)'),
    ("extract-past", "4.42.0",
     {"model": FORWARD.format(body="self._extract_past_from_model_output(x)")},
     "def _extract_past_from_model_output"),
    ("extract-past", "4.42.0",
     {"model": FORWARD.format(body="x").replace(
         "return", "name, cache = self._extract_past_from_model_output(x)\n        return")},
     'return "past_key_values", None'),
    ("cache-tuples", "4.54.0", {"model": FORWARD.format(body="past_key_values[0]")},
     "@classmethod\n    def _supports_default_dynamic_cache"),
]  # fmt: skip

# name, the version that is looked at, code that it leaves alone
NOOPS = [
    ("pad-signature", "5.23.0", {"tokenizer": PAD.format(more=", padding_side=None")}),
    ("pad-signature", "5.23.0", {"tokenizer": PAD.format(more=", **kwargs")}),
    ("pad-signature", "4.44.2", {"tokenizer": PAD.format(more="")}),
    ("layer-count", "5.23.0", {"config": CONFIG.format(name="num_hidden_layers", more="")}),
    ("layer-count", "5.23.0",
     {"config": CONFIG.format(name="num_layers", more="    attribute_map = {}\n\n")}),
    ("layer-count", "4.55.4", {"config": CONFIG.format(name="num_layers", more="")}),
    ("config-defaults", "5.23.0", {"model": FORWARD.format(body="config.hidden_size")}),
    ("config-defaults", "5.23.0",
     {"model": FORWARD.format(body="config.use_cache"),
      "config": CONFIG.format(name="use_cache", more="")}),
    ("config-defaults", "4.57.6", {"model": FORWARD.format(body="config.max_length")}),
    ("late-imports", "5.23.0",
     {"model": MODEL.format(base="", method="forward(self, x):\n        import warnings")}),
    ("vocabulary-first", "5.23.0", {"tokenizer": TOKENIZER.format(first=SET, then=SUPER)}),
    ("vocabulary-first", "5.23.0",  # it asks what the library's constructor made
     {"tokenizer": TOKENIZER.format(first=SUPER, then="self.end = self.convert('a')")}),
    ("vocabulary-first", "5.23.0",  # twice would be once too often
     {"tokenizer": TOKENIZER.format(first=SUPER, then="kwargs['a'] += [file]")}),
    ("vocabulary-first", "4.33.3", {"tokenizer": TOKENIZER.format(first=SUPER, then=SET)}),
    ("post-init", "5.23.0",
     {"model": MODEL.format(base="", method="__init__(self, c):\n        self.post_init()")}),
    ("post-init", "4.57.6",
     {"model": MODEL.format(base="", method="__init__(self, c):\n        pass")}),
    ("tied-keys", "5.23.0", {"model": TIED.format(keys='{"lm_head.weight": "model.embed"}')}),
    ("tied-keys", "4.57.6", {"model": TIED.format(keys='["lm_head.weight"]')}),
    ("kept-buffers", "5.23.0", {"model": TABLE.format(kept="True")}),
    ("kept-buffers", "4.57.6", {"model": TABLE.format(kept="False")}),
    ("generation-mixin", "5.23.0",
     {"model": MODEL.format(base=", GenerationMixin", method=PREPARE.format(body="pass"))}),
    ("generation-mixin", "4.49.0",
     {"model": MODEL.format(base="", method=PREPARE.format(body="pass"))}),
    ("batch-call", "5.23.0", {"model": FORWARD.format(body="x([x], a=1)")}),
    ("batch-call", "4.57.6", {"model": FORWARD.format(body="x.batch_encode_plus([x])")}),
    ("own-stream", "5.23.0",
     {"model": MODEL.format(base="", method=STREAM.format(body="yield self.generate(input_ids)"))}),
    ("own-stream", "4.42.4",
     {"model": MODEL.format(base="", method=STREAM.format(body="self._get_logits_warper()"))}),
    ("removed-imports", "5.23.0", {"model": "from transformers.utils import logging\n"}),
    ("removed-imports", "5.23.0", {"model": "from .utils import is_torch_fx_available\n"}),
    ("late-imports", "5.23.0", {"model": "import absent\n\n" + FORWARD.format(body="x")}),
    ("registered-again", "5.23.0",
     {"config": CONFIG.format(name="a", more="") + '\n\nXConfig.register_for_auto_class()\n'}),
    ("attention-support", "5.23.0",
     {"model": "class XForCausalLM(PreTrainedModel):\n    _supports_sdpa = True\n"}),
    ("attention-support", "4.53.3", {"model": PROPERTY.format(more="    @property\n")}),
    ("rope-type", "5.23.0", {"model": FORWARD.format(body='self.config.rope_scaling["factor"]')}),
    ("rope-type", "4.57.6", {"model": FORWARD.format(body='self.config.rope_scaling["type"]')}),
    ("flat-mask", "5.23.0",
     {"model": MASKS, "tokenizer": TRIL.format(body="return numpy.ones(encoded)")}),
    ("flat-mask", "4.44.2",
     {"model": MASKS, "tokenizer": TRIL.format(body="return numpy.tril(encoded)")}),
    ("head-mask", "5.23.0", {"model": FORWARD.format(body="self.head(x, 2)")}),
    ("head-mask", "4.57.6", {"model": FORWARD.format(body="self.get_head_mask(x, 2)")}),
    ("cache-methods", "5.23.0", {"model": FORWARD.format(body="x.get_seq_length()")}),
    ("cache-methods", "4.48.3", {"model": FORWARD.format(body="past.get_max_length()")}),
    ("cache-methods", "5.23.0", {"model": FORWARD.format(body="self.encoder.get_max_length()")}),
    ("model-arguments", "5.23.0",
     {"model": MODEL.format(base="", method=UPDATE.format(more=", num_new_tokens=1", body="a"))}),
    ("model-arguments", "4.43.4",
     {"model": MODEL.format(base="", method=UPDATE.format(more="", body="attention_mask"))}),
    ("cpu-construction", "5.23.0",
     {"model": MODEL.format(base="", method="__init__(self, config):\n        pass")}),
    ("cpu-construction", "4.57.6",
     {"model": MODEL.format(base="", method="__init__(self, config):\n        made().item()")}),
    ("loaded-weights", "5.2.0",
     {"model": MODEL.format(base="", method="_init_weights(self, module):\n        pass")}),
    ("loaded-weights", "5.1.0", {"model": FORWARD.format(body="x")}),
    ("position-ids", "5.23.0",
     {"model": MODEL.format(base="", method=PREPARE.format(body="return kwargs"))}),
    ("position-ids", "4.57.6",
     {"model": MODEL.format(base="", method=PREPARE.format(body=CUMSUM.format(none=", None")))}),
    ("extract-past", "5.23.0", {"model": FORWARD.format(body="x.past_key_values")}),
    ("extract-past", "4.41.2",
     {"model": FORWARD.format(body="self._extract_past_from_model_output(x)")}),
    ("cache-tuples", "5.23.0", {"model": FORWARD.format(body="DynamicCache(past_key_values)")}),
    ("cache-tuples", "4.53.3", {"model": FORWARD.format(body="past_key_values[0]")}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "version", "code", "expected"), EFFECTS)
def test_a_fix_repairs_what_it_is_for(
    name: str, version: str, code: dict[str, str], expected: str
) -> None:
    assert name in chosen(version, **code)
    text = repaired(name, version, **code)
    assert expected in text
    assert text != "\n".join(code[kind] for kind in sorted(code))
    ast.parse(text)


def test_what_config_json_says_of_a_setting_is_kept() -> None:
    settings = {"max_length": 8192, "top_p": float("inf")}
    body = "config.max_length + config.top_p"
    text = repaired("config-defaults", settings=settings, model=FORWARD.format(body=body))
    assert 'getattr(config, "max_length", 8192)' in text
    assert 'getattr(config, "top_p", float("inf"))' in text


@pytest.mark.parametrize(
    ("given", "layer"),
    [
        ("7", "0"),
        ("7, 3", "3"),
        ("7, layer_idx=3", "3"),
        ("layer_idx=3, new_seq_length=7", "3"),
        ("new_seq_length=7", "0"),
    ],
)
def test_a_cache_is_asked_for_the_layer_that_the_code_names(given: str, layer: str) -> None:
    body = f"past.get_usable_length({given})"
    text = repaired("cache-methods", model=FORWARD.format(body=body))
    assert f"past.get_seq_length({layer})" in text


@pytest.mark.parametrize(
    ("keys", "head", "mapping"),
    [
        ('["lm_head.weight", "lm_head.bias"]', None, '{"lm_head.weight": "model.embed.weight"}'),
        ('["out.weight", "lm_head.weight"]', "out", '{"out.weight": "model.embed.weight"}'),
        ('["lm_head.bias"]', "lm_head", "{}"),
    ],
)
def test_nothing_but_the_heads_weight_is_tied(keys: str, head: str | None, mapping: str) -> None:
    getter = f"\n    def get_output_embeddings(self):\n        return self.{head}\n"
    code = TIED.format(keys=keys) + (getter if head else "")
    assert f"_tied_weights_keys = {mapping}\n" in repaired("tied-keys", model=code)


@pytest.mark.parametrize(("name", "version", "code"), NOOPS)
def test_a_fix_leaves_alone_what_is_not_broken(
    name: str, version: str, code: dict[str, str]
) -> None:
    assert name not in chosen(version, **code)


def test_every_fix_stands_in_both_tables() -> None:
    names = [fix.name for fix in FIXES]
    assert len(set(names)) == len(names)
    assert {row[0] for row in EFFECTS} == set(names)
    assert {row[0] for row in NOOPS} == set(names)


def test_a_line_that_registers_a_type_is_left_out() -> None:
    config = CONFIG.format(name="a", more="") + '\n\nAutoConfig.register("x", XConfig)\n'
    assert "register(" not in repaired("registered-again", config=config)


def test_every_code_that_a_fix_answers_is_a_rules() -> None:
    known = {rule.code for rule in (*RULES, *FAILURE_RULES)}
    for fix in FIXES:
        assert set(fix.answers) <= known, fix.title


def test_the_page_has_a_row_for_each_fix_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z-]+@\d+)` \| ([^|]*) \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert [name for name, _ in rows] == [fix.title for fix in FIXES]
    for fix, (_, answers) in zip(FIXES, rows, strict=True):
        assert answers == ", ".join(fix.answers)


def test_methods_are_wrapped_one_around_another() -> None:
    body = "position_ids = kwargs.get('position_ids', None)\n        return mask.cumsum(-1)"
    text = repaired("position-ids", model=MODEL.format(base="", method=PREPARE.format(body=body)))
    again = repaired("position-ids", model=text)
    assert "_published_prepare_inputs_for_generation_(" in again
    assert again.count("def prepare_inputs_for_generation(") == 1
