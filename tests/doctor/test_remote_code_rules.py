"""Each rule about remote code as rows: what breaks, what does not, both sides of its gate."""

from typing import Any

import pytest

from tests.doctor.facts import checkpoint, environment
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding

TOKENIZER = """
class SP:
    def __init__(self, path): self.sp_model = load(path)

class XTokenizer(PreTrainedTokenizer):
    def __init__(self, vocab_file, **kwargs):
        {before}
        super().__init__(**kwargs)
        {after}

    @property
    def vocab_size(self):
        return self.tokenizer.n_words

    def get_vocab(self):
        return {{i: i for i in range(self.vocab_size)}}

    def _pad(self, encoded_inputs, max_length=None{side}):
        {pad}
"""


def tokenizer(
    before: str = "self.tokenizer = SP(vocab_file)",
    after: str = "self.done = True",
    side: str = ", padding_side=None",
    pad: str = "return encoded_inputs",
) -> dict[str, str]:
    return {"tokenization": TOKENIZER.format(before=before, after=after, side=side, pad=pad)}


LATE = tokenizer(before="pass", after="self.tokenizer = SP(vocab_file)")

CONFIG = """
class XConfig(PretrainedConfig):
    model_type = "x"
    {attribute}
    def __init__(self, num_layers=2, **kwargs):
        self.num_layers = num_layers
        {line}
        super().__init__(**kwargs)
"""


def config(attribute: str = "pass", line: str = "pass") -> str:
    return CONFIG.format(attribute=attribute, line=line)


MAPPED = config(attribute='attribute_map = {"num_hidden_layers": "num_layers"}')

MODEL = """
from .configuration_x import XConfig
{imports}

def attention(query, layer_past=None):
    {function}

class XPreTrainedModel(PreTrainedModel):
    def get_masks(self, input_ids, past_key_values):
        {masks}

class Attention:
    def forward(self, hidden, kv_cache=None):
        {attention}

class XForCausalLM(XPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        {init}

    def forward(self, input_ids, past_key_values=None, use_cache=None):
        {forward}

    def prepare_inputs_for_generation(self, input_ids, past_key_values=None, **kwargs):
        {prepare}

    def _update_model_kwargs_for_generation(self, outputs, model_kwargs):
        {update}

    def stream_chat(self, tokenizer, past_key_values=None):
        {stream}
"""
PARTS = (
    "imports", "function", "masks", "attention", "init", "forward", "prepare", "update", "stream",
)  # fmt: skip


def model(configuration: str = MAPPED, **parts: str) -> dict[str, str]:
    defaults = dict.fromkeys(PARTS, "pass") | {"init": "self.post_init()"}
    return {"configuration": configuration, "modeling": MODEL.format(**(defaults | parts))}


SHAPE = "n = past_key_values[0][0].shape[0] if past_key_values else 0"
JOIN = "cache_k, cache_v = kv_cache; return torch.cat((cache_k, hidden), dim=0)"
EXTRACT = "model_kwargs['p'] = self._extract_past_from_model_output(outputs)"
STREAM = "x = self._get_stopping_criteria(generation_config=c)"
BLIND = "if 'attention_mask' in model_kwargs: m = model_kwargs['attention_mask'].new_ones(1)"
SEEING = "if 'attention_mask' in model_kwargs: m = 1 if model_kwargs['a'] is not None else 2"

ROWS: list[tuple[str, dict[str, str], str, list[str]]] = [
    # The vocabulary after super().__init__
    ("late vocabulary", LATE, "4.33.3", []),
    ("late vocabulary", LATE, "4.34.0", ["TOK101"]),
    ("late vocabulary", LATE, "5.23.0", ["TOK101"]),
    ("vocabulary first", tokenizer(), "5.23.0", []),
    ("something else late", tokenizer(after="self.name = 1"), "5.23.0", []),
    ("set twice", tokenizer(after="self.tokenizer = SP(vocab_file)"), "5.23.0", []),
    # _pad without padding_side
    ("no side", tokenizer(side=""), "4.44.2", []),
    ("no side", tokenizer(side=""), "4.45.0", ["TOK104"]),
    ("no side", tokenizer(side=""), "4.45.0.dev0", ["TOK104"]),
    ("any keyword", tokenizer(side=", **kwargs"), "5.23.0", []),
    ("a side by keyword only", tokenizer(side=", *, padding_side=None"), "5.23.0", []),
    # A mask of its own shape
    ("triangle", tokenizer(pad="m = np.tril(np.ones((1, 2, 2)))"), "4.44.2", []),
    ("triangle", tokenizer(pad="m = np.tril(np.ones((1, 2, 2)))"), "4.45.0", ["GEN104"]),
    # num_hidden_layers
    ("no layer count", model(config()), "4.55.4", []),
    ("no layer count", model(config()), "4.56.0", ["CFG101"]),
    ("no layer count", model(config()), "5.0.0", []),
    ("no layer count", model(config()), "5.1.0", ["CFG101"]),
    ("mapped", model(), "4.56.0", []),
    ("assigned", model(config(line="self.num_hidden_layers = 2")), "4.56.0", []),
    ("class attribute", model(config(attribute="num_hidden_layers = 2")), "4.56.0", []),
    ("property", model(config(attribute="@property\n    def num_hidden_layers(self): ...")),
     "4.56.0", []),
    # Generation settings in configs
    ("max_length", model(init="self.post_init(); self.m = config.max_length"), "4.57.6", []),
    ("max_length", model(init="self.post_init(); self.m = config.max_length"), "5.0.0",
     ["CFG102"]),
    ("use_cache", model(forward="u = self.config.use_cache"), "5.0.0", ["CFG102"]),
    ("its own use_cache",
     model(config(attribute='attribute_map = {"num_hidden_layers": "num_layers"}',
                  line="self.use_cache = True"), forward="u = self.config.use_cache"),
     "5.0.0", []),
    ("another key", model(forward="u = self.config.hidden_size"), "5.0.0", []),
    ("with a default", model(forward="u = getattr(self.config, 'use_cache', 1)"), "5.0.0", []),
    # post_init
    ("no post_init", model(init="pass"), "4.57.6", []),
    ("no post_init", model(init="pass"), "5.0.0", ["LOAD102"]),
    # Private parts of generate
    ("extract past", model(update=EXTRACT), "4.41.2", []),
    ("extract past", model(update=EXTRACT), "4.42.0", ["GEN101"]),
    ("extract past", model(update=EXTRACT), "4.56.0", ["GEN101"]),
    ("mask without asking", model(update=BLIND), "5.17.0", []),
    ("mask without asking", model(update=BLIND), "5.18.0", ["GEN103"]),
    ("mask after asking", model(update=SEEING), "5.18.0", []),
    ("own loop", model(stream=STREAM), "4.42.4", []),
    ("own loop", model(stream=STREAM), "4.43.0", ["GEN102"]),
    # Tuples for a cache
    ("shape of the cache", model(masks=SHAPE), "4.55.4", []),
    ("shape of the cache", model(masks=SHAPE), "4.56.0", ["CACHE101"]),
    ("shape of the cache", model(masks=SHAPE), "4.57.6", ["CACHE101"]),
    ("shape of the cache", model(masks=SHAPE), "5.0.0", []),
    ("shape of the cache", model(masks=SHAPE), "5.1.0", ["CACHE103"]),
    ("size of the cache", model(forward="n = past_key_values[0][1].size(2)"), "4.56.0",
     ["CACHE101"]),
    ("only in its own loop", model(stream=SHAPE), "4.56.0", []),
    ("joined", model(attention=JOIN), "4.55.4", []),
    ("joined", model(attention=JOIN), "4.56.0", ["CACHE102"]),
    ("joined in a function", model(function="return torch.cat([layer_past[0], query])"),
     "4.56.0", ["CACHE102"]),
    ("joined through names",
     model(function="k, v = layer_past[0], layer_past[1]; return torch.cat((k, query))"),
     "4.56.0", ["CACHE102"]),
    ("something else joined", model(attention="return torch.cat((hidden, hidden))"), "4.56.0", []),
    ("indexed", model(forward="x = past_key_values[3]"), "5.1.0", ["CACHE103"]),
    ("knows the new cache",
     model(imports="from transformers.cache_utils import DynamicCache", masks=SHAPE,
           attention=JOIN), "4.56.0", []),
    # Imports that went
    ("beam scorer", model(imports="from transformers import BeamSearchScorer"), "4.57.6", []),
    ("beam scorer", model(imports="from transformers import BeamSearchScorer"), "5.0.0",
     ["IMP101"]),
    ("the gap of 4.48.0",
     model(imports="from transformers.pytorch_utils import is_torch_greater_or_equal_than_1_13"),
     "4.48.0", ["IMP101"]),
    ("the gap of 4.48.0",
     model(imports="from transformers.pytorch_utils import is_torch_greater_or_equal_than_1_13"),
     "4.48.3", []),
    # Buffers that loading loses
    ("lost buffer", model(init="self.post_init(); self.register_buffer('c', t, persistent=False)"),
     "4.57.6", []),
    ("lost buffer", model(init="self.post_init(); self.register_buffer('c', t, persistent=False)"),
     "5.0.0", ["LOAD103"]),
    ("kept buffer", model(init="self.post_init(); self.register_buffer('c', t)"), "5.0.0", []),
]  # fmt: skip


def found(code: dict[str, str], version: str, **more: Any) -> tuple[Finding, ...]:
    return examine(checkpoint(**code, **more), environment(version))


@pytest.mark.parametrize(
    ("code", "version", "codes"),
    [row[1:] for row in ROWS],
    ids=[f"{row[0]} on {row[2]}" for row in ROWS],
)
def test_a_rule_finds_what_breaks_and_nothing_else(
    code: dict[str, str], version: str, codes: list[str]
) -> None:
    assert [finding.code for finding in found(code, version)] == codes


def test_a_dtype_that_is_text_breaks_in_4_49_only() -> None:
    code = model(init="self.post_init(); self.e = nn.Embedding(1, 2, dtype=config.torch_dtype)")
    text = {"model_type": "x", "torch_dtype": "float16"}
    for version, codes in [("4.48.3", []), ("4.49.0", ["LOAD101"]), ("4.50.0", [])]:
        assert [each.code for each in found(code, version, config=text)] == codes
    assert found(code, "4.49.0", config={"model_type": "x"}) == ()


def test_a_call_of_batch_encode_plus_breaks_on_5() -> None:
    code = {**tokenizer(pad="return self.batch_encode_plus([])")}
    assert found(code, "4.57.6") == ()
    (finding,) = found(code, "5.0.0")
    assert (finding.code, finding.stage) == ("TOK105", "chat")


def test_findings_say_file_and_line_and_block_the_fixed_route_only() -> None:
    (finding,) = found(model(masks=SHAPE), "4.56.0")
    lines = model(masks=SHAPE)["modeling"].splitlines()
    assert finding.where.path == "modeling_x.py"
    assert finding.where.line is not None
    assert "past_key_values[0][0].shape" in lines[finding.where.line - 1]
    assert finding.blocks == ("fixed",)
    assert (finding.since, finding.until) == ("4.56.0", None)


def test_classes_and_methods_are_followed_into_other_files() -> None:
    code = {
        "configuration": MAPPED,
        "modeling": "from .base import Base as B\nclass XForCausalLM(B):\n    pass\n",
        "more": {
            "base.py": "class Base(PreTrainedModel):\n"
            "    def __init__(self, config):\n        super().__init__(config)\n"
        },
    }
    (finding,) = found(code, "5.0.0")
    assert (finding.code, str(finding.where)) == ("LOAD102", "base.py:2")


def test_a_missing_package_is_named_once_with_its_place() -> None:
    code = model(imports="import einops\nfrom einops import rearrange")
    (finding,) = found(code, "4.57.6")
    assert (finding.code, finding.where.line) == ("ENV102", 3)
    assert finding.hint == "pip install einops"
    assert examine(checkpoint(**code), environment("4.57.6", einops="0.8")) == ()


def test_an_import_that_may_fail_is_not_missed() -> None:
    code = model(imports="try:\n    import einops\nexcept ImportError:\n    einops = None")
    assert found(code, "4.57.6") == ()


def test_circular_bases_and_absent_classes_do_no_harm() -> None:
    code = {
        "configuration": MAPPED,
        "modeling": "class A(B): pass\nclass B(A): pass\nclass XForCausalLM(A, C, d.E): pass\n",
        "tokenization": "x = 1\n",
    }
    assert found(code, "5.23.0") == ()
