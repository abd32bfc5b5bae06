"""What breaks: the smallest change to a healthy model that each rule about its code is about.

`rows` say what is found on which release, both sides of each change; docs/rules.md shows `shown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.doctor.models import MAPPED, Code, config, model, tokenizer

Rows = tuple[tuple[str, str], ...]
UPDATE = (
    "def _update_model_kwargs_for_generation(\n"
    "    self, outputs, model_kwargs, is_encoder_decoder=False, **kwargs\n"
    "):\n"
)


LENGTH = "past_length = 0\nif past_key_values:\n    past_length = past_key_values[0][0].shape[2]"
PART = """\
class XPart(XPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.model = XModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, **kwargs):
        return CausalLMOutputWithPast(logits=self.lm_head(self.model(input_ids)))

    def prepare_inputs_for_generation(self, input_ids, **kwargs):
        return {"input_ids": input_ids}
"""
BY_PART = """\
def generate(self, input_ids, **kwargs):
    return self.part.generate(input_ids, **kwargs)"""
WAITS = """\
def stream_chat(self, input_ids):
    answers = queue.Queue()

    def run():
        answers.put(self.generate(input_ids))
        answers.put(None)

    threading.Thread(target=run).start()
    while (answer := answers.get()) is not None:
        yield answer"""


@dataclass(frozen=True, kw_only=True)
class Example:
    """Code that breaks; each row is a release and the codes that are found there, by spaces."""

    name: str
    shown: str
    code: Code
    rows: Rows
    config: Mapping[str, Any] = field(default_factory=lambda: {"model_type": "llama"})
    packages: Mapping[str, str | None] = field(default_factory=dict)
    about: str = ""

    @property
    def first_code(self) -> str:
        """The rule that it is an example of."""
        return self.about or next((codes for _, codes in self.rows if codes), "").partition(" ")[0]


def _of_model(
    name: str, rows: Rows, more: Mapping[str, Any] | None = None, **parts: str
) -> Example:
    shown = "\n\n".join(parts.values())
    return Example(name=name, shown=shown, code=model(**parts), rows=rows, **(more or {}))


def _of_config(name: str, rows: Rows, more: Mapping[str, str], **parts: str) -> Example:
    code = model(config(**parts), **more)
    shown = "\n\n".join(text for text in (*parts.values(), *more.values()) if text)
    return Example(name=name, shown=shown, code=code, rows=rows)


def _of_tokenizer(name: str, rows: Rows, **parts: str) -> Example:
    shown = "\n".join(text for text in parts.values() if text)
    return Example(name=name, shown=shown, code=tokenizer(**parts), rows=rows)


def _without_head() -> Code:
    """No class prepares inputs for `generate`."""
    code = model(bases="XPreTrainedModel")
    source = code["modeling"].replace("prepare_inputs_for_generation", "prepared")
    return {**code, "modeling": source}


PLAIN_CONFIG = """\
class XConfig:
    model_type = "x"

    def __init__(self, num_layers=2, hidden_size=8, vocab_size=16, **kwargs):
        self.num_layers = num_layers
        self.hidden_size = hidden_size
        self.vocab_size = vocab_size
"""

EXAMPLES: tuple[Example, ...] = (
    # Tokenizers
    Example(
        name="the vocabulary is set last",
        shown='super().__init__(pad_token="<pad>", **kwargs)\nself.pieces = Pieces(vocab_file)',
        code=tokenizer(before="", after="self.pieces = Pieces(vocab_file)"),
        rows=(("4.33.3", ""), ("4.34.0", "TOK101"), ("4.56.0", "TOK101"), ("5.23.0", "TOK101")),
    ),
    Example(
        name="the vocabulary is set last, without protobuf",
        shown="",
        code=tokenizer(before="", after="self.pieces = Pieces(vocab_file)"),
        rows=(("4.33.3", ""), ("4.34.0", "TOK101"), ("4.45.0", "TOK101"), ("5.23.0", "TOK101")),
        packages={"protobuf": None},
    ),
    Example(
        name="_pad takes no side",
        shown="def _pad(\n    self, encoded_inputs, max_length=None, padding_strategy=None,\n"
        "    pad_to_multiple_of=None, return_attention_mask=None,\n):\n    ...",
        code=tokenizer(side=""),
        rows=(("4.44.2", ""), ("4.45.0", "TOK104"), ("5.23.0", "TOK104")),
    ),
    _of_tokenizer(
        "batch_encode_plus",
        (("4.57.6", ""), ("5.0.0", "TOK105")),
        methods="def build_chat_input(self, query):\n    return self.batch_encode_plus([query])",
    ),
    _of_tokenizer(
        "a mask of three dimensions",
        (("4.44.2", ""), ("4.45.0", "GEN104")),
        imports="import torch",
        pad='length = len(encoded_inputs["input_ids"])\n'
        'encoded_inputs["attention_mask"] = torch.ones((1, length, length)).tril()\n'
        "return encoded_inputs",
    ),
    # Configurations
    Example(
        name="no layer count",
        shown='class XConfig(PretrainedConfig):\n    model_type = "x"\n\n'
        "    def __init__(self, num_layers=2, **kwargs):\n"
        "        self.num_layers = num_layers\n        super().__init__(**kwargs)",
        code=model(config(attribute="")),
        rows=(("4.55.4", ""), ("4.56.0", "CFG101"), ("5.23.0", "CFG101")),
    ),
    _of_model(
        "a generation setting is read of the config",
        (("4.57.6", ""), ("5.0.0", "CFG102")),
        init="self.longest = config.max_length",
    ),
    _of_model(
        "use_cache is read of the config",
        (("4.57.6", ""), ("5.0.0", "CFG102")),
        {"config": {"model_type": "x", "use_cache": True}},
        body="use_cache = self.config.use_cache",
    ),
    _of_model(
        "a setting of generation that configs keep",
        (("4.57.6", ""), ("5.0.0", ""), ("5.23.0", "")),
        {"config": {"model_type": "x", "max_new_tokens": 4}},
        body="most = self.config.max_new_tokens",
    ),
    _of_config(
        "a generation setting is read by the config itself",
        (("4.57.6", ""), ("5.0.0", "CFG102")),
        {},
        after="if self.forced_eos_token_id is None:\n    self.forced_eos_token_id = 2",
    ),
    _of_model(
        "pad_token_id is read of the config",
        (("4.57.6", ""), ("5.0.0", "CFG104")),
        inner="self.padding = config.pad_token_id",
    ),
    _of_model(
        "use_cache is read and config.json does not say it",
        (("4.41.2", "CFG104"), ("4.57.6", "CFG104"), ("5.23.0", "CFG104")),
        body="use_cache = self.config.use_cache",
    ),
    Example(
        name="a configuration without a base",
        shown=PLAIN_CONFIG,
        code={**model(), "configuration": PLAIN_CONFIG},
        rows=(("4.41.2", "CFG105"), ("5.23.0", "CFG105")),
    ),
    _of_model(
        "a configuration of its own in the place of the library's",
        (("4.48.3", ""), ("4.49.0", "CFG105"), ("4.57.6", "CFG105 CFG101")),
        imports="class Options:\n    tie_word_embeddings = False",
        init="self.config = Options()",
        end="pass",
    ),
    _of_config(
        "the type of rope_scaling",
        (("4.57.6", ""), ("5.0.0", "CFG106"), ("5.23.0", "CFG106")),
        {"layer": 'scaling = config.rope_scaling\nif scaling is not None:\n'
                  '    self.kind = scaling["type"]'},
        lines="self.rope_theta = 10000.0\nself.rope_scaling = None",
    ),
    # Imports
    _of_model(
        "is_torch_fx_available",
        (("4.57.6", ""), ("5.0.0", "IMP101")),
        imports="from transformers.utils.import_utils import is_torch_fx_available",
    ),
    _of_model(
        "a beam scorer",
        (("4.56.2", ""), ("4.57.1", "IMP101"), ("5.0.0", "IMP101")),
        imports="from transformers import BeamSearchScorer",
    ),
    _of_model(
        "a name that one release lacks",
        (("4.47.1", ""), ("4.48.0", "IMP101"), ("4.48.1", "IMP101"), ("4.48.2", "")),
        imports="from transformers.pytorch_utils import is_torch_greater_or_equal_than_1_13",
    ),
    _of_model(
        "an attention class",
        (("4.47.1", ""), ("4.48.0", "IMP101"), ("5.23.0", "IMP101")),
        imports="from transformers.models.llama.modeling_llama import LlamaFlashAttention2",
    ),
    _of_model(
        "a private helper",
        (("4.34.1", ""), ("4.35.0", "IMP101")),
        imports="from transformers.models.bloom.modeling_bloom import _expand_mask",
    ),
    _of_model(
        "a name that came later",
        (("4.31.0", "IMP101"), ("4.32.0", "")),
        imports="from transformers.utils import is_torch_npu_available",
    ),
    _of_model(
        "a name that torch had",
        (("4.41.2", "IMP104"), ("5.23.0", "IMP104")),
        imports="from torch._six import inf",
    ),
    _of_model(
        "a name that torch had, on a torch that has it",
        (("4.41.2", ""), ("4.49.0", "")),
        {"packages": {"torch": "1.13.1"}},
        imports="from torch._six import inf",
    ),
    _of_model(
        "a name that torch has only later",
        (("4.41.2", "IMP104"),),
        {"packages": {"torch": "1.13.1"}},
        imports="from torch.nn.functional import scaled_dot_product_attention",
    ),
    _of_model(
        "a file that is not there",
        (("4.41.2", "IMP103"), ("5.23.0", "IMP103")),
        imports="from .more import rotate",
    ),
    _of_model(
        "a type that the library has taken",
        (("4.52.4", ""), ("4.53.0", "IMP105"), ("5.23.0", "IMP105")),
        imports='from transformers import AutoConfig\n\nfrom .configuration_x import XConfig\n\n'
        'AutoConfig.register("minimax", XConfig)',
    ),
    _of_model(
        "a package that is not installed",
        (("4.41.2", "ENV102"), ("5.23.0", "ENV102")),
        imports="import einops",
    ),
    _of_model(
        "a package that only a function imports",
        (("4.41.2", "ENV102"), ("5.23.0", "ENV102")),
        imports="def rotate(x):\n    from einops import rearrange\n\n    return rearrange(x)",
    ),
    _of_model(
        "a package that is installed",
        (("4.41.2", ""), ("5.23.0", "")),
        {"packages": {"einops": "0.8.1"}},
        imports="def rotate(x):\n    from einops import rearrange\n\n    return rearrange(x)",
    ),
    _of_model(
        "a package that is broken itself",
        (("4.56.2", ""), ("4.57.1", "ENV106"), ("5.0.0", "ENV106")),
        {"packages": {"transformers-stream-generator": "0.0.5"}},
        imports="import transformers_stream_generator",
    ),
    # Building and loading
    Example(
        name="no post_init",
        shown="def __init__(self, config):\n    super().__init__(config)\n    self.model = ...",
        code=model(inner_end="pass", end="pass"),
        rows=(("4.57.6", ""), ("5.0.0", "LOAD102"), ("5.23.0", "LOAD102")),
    ),
    _of_model(
        "a list of tied keys",
        (("4.57.6", ""), ("5.0.0", "LOAD105")),
        {"config": {"model_type": "x", "tie_word_embeddings": True}},
        head='_tied_weights_keys = ["lm_head.weight"]',
    ),
    _of_model(
        "a list of tied keys where nothing is tied",
        (("4.57.6", ""), ("5.0.0", "LOAD110"), ("5.23.0", "LOAD110")),
        head='_tied_weights_keys = ["lm_head.weight"]',
    ),
    _of_model(
        "numbers out of tensors",
        (("4.57.6", ""), ("5.0.0", "LOAD106"), ("5.5.0", "LOAD106"), ("5.5.1", "")),
        inner="self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 2)]",
    ),
    _of_model(
        "numbers out of other tensors",
        (("4.57.6", ""), ("5.0.0", "LOAD106"), ("5.23.0", "LOAD106")),
        inner="self.rates = [rate.item() for rate in torch.arange(2)]",
    ),
    _of_model(
        "a question about attention asked too early",
        (("4.53.3", ""), ("4.54.0", "LOAD107"), ("5.23.0", "LOAD107")),
        pretrained="_supports_sdpa = True",
        head="@property\ndef _supports_sdpa(self):\n    return self.model._supports_sdpa",
    ),
    _of_model(
        "a dtype that is text",
        (("4.48.3", ""), ("4.49.0", "LOAD101"), ("4.50.0", "")),
        {"config": {"model_type": "x", "torch_dtype": "float16"}},
        inner="self.scale = nn.Parameter(torch.empty(2, dtype=config.torch_dtype))",
    ),
    _of_model(
        "a table that no file holds",
        (("4.57.6", ""), ("5.0.0", "LOAD103")),
        inner='self.register_buffer("table", torch.arange(4), persistent=False)',
    ),
    _of_model(
        "weights that are initialised past torch's functions",
        (("4.57.6", ""), ("5.0.0", "LOAD109"), ("5.1.0", "LOAD109"), ("5.2.0", "")),
        pretrained="def _init_weights(self, module):\n    if isinstance(module, nn.Linear):\n"
        "        module.weight.data.normal_(mean=0.0, std=0.02)",
    ),
    # Calls that do not fit
    _of_model(
        "tie_weights takes no arguments",
        (("5.23.0", "SIG101"),),
        methods="def tie_weights(self):\n    self.lm_head.weight = self.model.embed.weight",
    ),
    _of_model(
        "a cache of a number of layers",
        (("4.48.3", ""), ("4.50.0", "SIG102"), ("4.55.4", ""), ("4.56.0", "SIG102")),
        imports="from transformers.cache_utils import DynamicCache",
        forward="past_key_values = DynamicCache(num_hidden_layers=2)",
    ),
    _of_model(
        "a package that only its author names",
        (("4.41.2", "CODE101"), ("5.23.0", "CODE101")),
        inner='raise ImportError("install fast-attention")',
    ),
    # Members that went
    _of_model(
        "get_head_mask",
        (("4.57.6", ""), ("5.0.0", "LOAD108")),
        forward="mask = self.get_head_mask(None, 2)",
    ),
    _of_model(
        "get_extended_attention_mask",
        (("5.16.1", ""), ("5.17.0", "LOAD108"), ("5.23.0", "LOAD108")),
        forward="mask = self.get_extended_attention_mask(attention_mask, input_ids.shape)",
    ),
    # Generation
    Example(
        name="a model without generate",
        shown="class XForCausalLM(PreTrainedModel):\n    ...",
        code=_without_head(),
        rows=(("4.41.2", "GEN106"), ("4.51.3", "GEN106"), ("4.52.1", "GEN105")),
    ),
    Example(
        name="a part of the model without generate",
        shown="class XPart(XPreTrainedModel):\n"
        "    def prepare_inputs_for_generation(self, input_ids, **kwargs):\n"
        "        return {\"input_ids\": input_ids}\n\n\n"
        "class XForCausalLM(XPreTrainedModel, GenerationMixin):\n"
        "    def generate(self, input_ids, **kwargs):\n"
        "        return self.part.generate(input_ids, **kwargs)",
        code=model(classes=PART, init="self.part = XPart(config)", methods=BY_PART),
        rows=(("4.41.2", ""), ("4.51.3", ""), ("4.52.1", "GEN105"), ("5.23.0", "GEN105")),
    ),
    Example(
        name="a part of the model that nothing makes generate",
        shown="",
        code=model(methods="def generate(self, input_ids, **kwargs):\n"
                   "    return self.model.generate(input_ids, **kwargs)"),
        rows=(("4.41.2", "GEN106"), ("4.51.3", "GEN106"), ("4.52.1", "GEN105")),
    ),
    _of_model(
        "the cache out of the outputs",
        (("4.48.3", ""), ("4.49.0", "GEN101"), ("5.23.0", "GEN101")),
        methods=UPDATE + "    past = self._extract_past_from_model_output(outputs)\n"
        '    model_kwargs["past_key_values"] = past\n    return model_kwargs',
    ),
    _of_model(
        "the cache out of the outputs, which comes with its name",
        (("4.41.2", ""), ("4.42.0", "GEN101"), ("4.43.4", "GEN101"), ("4.49.0", "GEN101")),
        methods=UPDATE + "    past = self._extract_past_from_model_output(outputs)\n"
        '    model_kwargs["past_key_values"] = past\n    return model_kwargs',
        forward="past_length = 0\nif past_key_values:\n"
        "    past_length = past_key_values[0][0].shape[2]",
    ),
    _of_model(
        "the cache out of the outputs, in a keyword of its own",
        (("4.43.4", ""), ("4.44.0", "GEN101"), ("4.49.0", "GEN101")),
        methods=UPDATE + "    past = self._extract_past_from_model_output(\n"
        "        outputs, standardize_cache_format=True\n    )\n"
        '    model_kwargs["past_key_values"] = past\n    return model_kwargs',
    ),
    _of_model(
        "the cache out of the outputs, by super",
        (("4.48.3", ""), ("4.49.0", "GEN101")),
        methods=UPDATE + "    super()._extract_past_from_model_output(outputs)\n"
        "    return model_kwargs",
    ),
    _of_model(
        "a loop of its own",
        (("4.42.4", ""), ("4.43.0", "GEN102")),
        methods="def stream_chat(self, tokenizer, query, generation_config):\n"
        "    return self._get_stopping_criteria(\n"
        "        generation_config=generation_config, stopping_criteria=[]\n    )",
    ),
    _of_model(
        "a mask that is extended",
        (("5.17.0", ""), ("5.18.0", "GEN103")),
        methods=UPDATE + '    if "attention_mask" in model_kwargs:\n'
        '        mask = model_kwargs["attention_mask"]\n'
        "        more = mask.new_ones((mask.shape[0], 1))\n"
        '        model_kwargs["attention_mask"] = torch.cat([mask, more], dim=-1)\n'
        "    return model_kwargs",
    ),
    _of_model(
        "the length of a tuple cache",
        (("4.55.4", ""), ("4.56.0", "CACHE101"), ("4.57.6", "CACHE101"), ("5.0.0", "CACHE103")),
        forward=LENGTH,
    ),
    _of_model(
        "the size of a tuple cache",
        (("4.55.4", ""), ("4.56.0", "CACHE101"), ("5.0.0", "CACHE103")),
        forward="past_length = past_key_values[0][0].size(2) if past_key_values else 0",
    ),
    _of_model(
        "the length of a tuple cache that has no layers",
        (("4.53.3", ""), ("4.54.0", "CACHE101"), ("4.57.6", "CACHE101"), ("5.0.0", "CACHE103")),
        forward="past_length = 0\nif past_key_values is not None:\n"
        "    past_length = past_key_values[0][0].shape[2]",
    ),
    _of_model(
        "keys joined to a tuple cache",
        (("4.55.4", ""), ("4.56.0", "CACHE102"), ("5.0.0", "CACHE103")),
        attention="if layer_past is not None:\n"
        "    hidden = torch.cat((layer_past[0], hidden), dim=1)",
        past="past_key_values[index] if past_key_values else None",
    ),
    _of_model(
        "an entry of the cache",
        (("4.57.6", ""), ("5.0.0", "CACHE103")),
        forward="first = past_key_values[1] if past_key_values is not None else None",
    ),
    _of_model(
        "seen_tokens",
        (("4.53.3", ""), ("4.54.0", "CACHE104")),
        forward="seen = past_key_values.seen_tokens if past_key_values is not None else 0",
    ),
    _of_model(
        "get_max_length",
        (("4.48.3", ""), ("4.49.0", "CACHE105"), ("5.12.1", "CACHE105"), ("5.13.0", "")),
        head="_supports_cache_class = True",
        forward="most = past_key_values.get_max_length() if past_key_values is not None else 0",
    ),
    _of_model(
        "get_usable_length",
        (("4.53.3", ""), ("4.54.0", "CACHE106"), ("5.23.0", "CACHE106")),
        forward="kept = past_key_values.get_usable_length(1) if past_key_values is not None else 0",
    ),
    _of_model(
        "from tuples",
        (("4.57.6", ""), ("5.0.0", "CACHE107")),
        imports="from transformers.cache_utils import Cache, DynamicCache",
        forward="if not isinstance(past_key_values, Cache):\n"
        "    past_key_values = DynamicCache.from_legacy_cache(past_key_values)",
    ),
    _of_model(
        "from a cache that is none of tuples",
        (("4.55.4", ""), ("4.56.0", "CACHE101"), ("4.57.6", "CACHE101"), ("5.0.0", "CACHE107")),
        imports="from transformers.cache_utils import DynamicCache",
        forward="past_key_values = DynamicCache.from_legacy_cache(past_key_values)",
    ),
    _of_model(
        "to tuples",
        (("4.57.6", ""), ("5.0.0", "CACHE107")),
        forward="past = past_key_values.to_legacy_cache() if past_key_values is not None else None",
    ),
    Example(
        name="a stream that waits for a thread",
        about="GEN107",
        shown=WAITS,
        code=model(imports="import queue\nimport threading", methods=WAITS, forward=LENGTH),
        rows=(("4.55.4", ""), ("4.56.0", "CACHE101 GEN107"), ("5.0.0", "CACHE103 GEN107")),
    ),
)  # fmt: skip

# What is near to a break and is none: the releases are those on which it would be one.
HARMLESS: tuple[tuple[str, Code, str], ...] = (
    ("the vocabulary first", tokenizer(), "5.23.0"),
    ("something else last", tokenizer(after="self.name = 1"), "5.23.0"),
    ("set twice", tokenizer(after="self.pieces = Pieces(vocab_file)"), "5.23.0"),
    ("any keyword", tokenizer(side=", **kwargs"), "5.23.0"),
    ("a side by keyword only", tokenizer(side=", *, padding_side=None"), "5.23.0"),
    ("layers assigned", model(config("", lines="self.num_hidden_layers = 2")), "4.56.0"),
    ("layers of the class", model(config("num_hidden_layers = 2")), "4.56.0"),
    ("layers as a property",
     model(config("@property\ndef num_hidden_layers(self):\n    return 2")), "4.56.0"),
    ("its own use_cache",
     model(config(MAPPED, lines="self.use_cache = True"), body="u = self.config.use_cache"),
     "5.0.0"),
    ("another key", model(body="u = self.config.hidden_size"), "5.0.0"),
    ("with a default", model(body="u = getattr(self.config, 'use_cache', True)"), "5.0.0"),
    ("a guarded import",
     model(imports="try:\n    from transformers import BeamSearchScorer\n"
                   "except ImportError:\n    BeamSearchScorer = None"), "5.23.0"),
    ("an import that is never reached",
     model(imports="if False:\n    from transformers import BeamSearchScorer"), "5.23.0"),
    ("a guarded package",
     model(imports="try:\n    import einops\nexcept ImportError:\n    einops = None"), "4.57.6"),
    ("a mapping of tied keys",
     model(head='_tied_weights_keys = {"lm_head.weight": "model.embed.weight"}'), "5.23.0"),
    ("an empty list of tied keys", model(head="_tied_weights_keys = []"), "5.23.0"),
    ("an empty mapping of tied keys", model(head="_tied_weights_keys = {}"), "5.23.0"),
    ("numbers out of numbers", model(inner="self.rates = [0.1 * each for each in range(2)]"),
     "5.23.0"),
    ("a buffer that files hold", model(inner='self.register_buffer("t", torch.arange(4))'),
     "5.23.0"),
    ("attention known by the class", model(head="_supports_sdpa = True"), "4.57.6"),
    ("a mask after asking",
     model(methods=UPDATE + '    mask = model_kwargs.get("attention_mask")\n'
                            "    if mask is not None:\n        more = mask.new_ones((1, 1))\n"
                            "    return model_kwargs"), "5.23.0"),
    ("a cache that is asked",
     model(forward="n = past_key_values.get_seq_length() if past_key_values is not None else 0"),
     "5.23.0"),
    ("a first entry that is asked",
     model(forward="if past_key_values is not None and past_key_values[0][0] is not None:\n"
                   "    n = past_key_values[0][0].shape[2]"), "4.56.0"),
    ("weights that torch's functions initialise",
     model(pretrained="def _init_weights(self, module):\n    if isinstance(module, nn.Linear):\n"
                      "        nn.init.normal_(module.weight, std=0.02)"), "5.0.0"),
    ("weights that are asked whether they were loaded",
     model(pretrained="def _init_weights(self, module):\n"
                      '    if not getattr(module.weight, "_is_hf_initialized", False):\n'
                      "        module.weight.data.normal_()"), "5.0.0"),
    ("a stream of what can be generated",
     model(imports="import queue\nimport threading", methods=WAITS), "5.23.0"),
    ("a part that names the mixin",
     model(classes=PART.replace("(XPreTrainedModel)", "(XPreTrainedModel, GenerationMixin)"),
           init="self.part = XPart(config)", methods=BY_PART), "5.23.0"),
    ("tuples that are made of none",
     model(imports="from transformers import DynamicCache",
           forward="past_key_values = DynamicCache.from_legacy_cache(None)"), "4.57.6"),
    ("something else joined", model(attention="hidden = torch.cat((hidden, hidden))"), "5.23.0"),
    ("tuples in its own loop only",
     model(methods="def stream_chat(self, past_key_values=None):\n"
                   "    return past_key_values[0][0].shape[0]"), "4.56.0"),
)  # fmt: skip
