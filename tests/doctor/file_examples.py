"""What is wrong with files: the smallest directory that each rule about them is about.

`rows` say what is found with which transformers; docs/rules.md shows the files that matter.
"""

from __future__ import annotations

import io
import os
import pickle
from typing import Any

import pytest

from tests.checkpoint.directories import safetensors
from tests.doctor.facts import NEWEST
from tests.doctor.file_example import LLAMA, WHOLE, FileExample, Link, Made, Own, Tensors
from tests.doctor.test_complete_directories import gguf
from tests.doctor.test_hub_model_rules import MODEL, model_tensors
from trueup.checkpoint.rebuild import MARK
from trueup.doctor import rule
from trueup.doctor.rules.comparison import MinorComparedAlone

INDEX = "model.safetensors.index.json"


class Calls:
    """Unpickled, it would call what it names."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def _saved(value: Any = None, **options: Any) -> bytes:
    import torch

    file = io.BytesIO()
    tensors = {"model.embed_tokens.weight": torch.zeros(8, 4)}
    torch.save(tensors if value is None else value, file, **options)
    return file.getvalue()


def _too_slow(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rule, "WALK_SECONDS", -1.0)


def _broken(patch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise LookupError("odd")

    patch.setattr(MinorComparedAlone, "check", fail)


BARE = {"model_type": "llama"}
WITH_CODE = {**BARE, "auto_map": {"AutoConfig": "entry.Model"}}
OF_CODE = {**WHOLE, "config.json": WITH_CODE, "entry.py": Own()}


def _code(code: str, lines: str, **more: Any) -> FileExample:
    """Lines in the model's own file."""
    return FileExample(code=code, whole=OF_CODE, files={"entry.py": Own(lines)}, **more)


def _config(code: str, config: dict[str, Any], *rows: tuple[str | None, str]) -> FileExample:
    """Keys of config.json, beside those that make it one."""
    return FileExample(code=code, files={"config.json": config}, rows=rows)


LONG = Made("more code than can be followed in the time", Own("step = 1\n" * 600).content)
LORA = {"base_model.model.model.q_proj.lora_A.weight": (2, 4)}
ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "../base", "target_modules": ["q_proj"]}
BASE = {"../base/config.json": LLAMA,
        "../base/model.safetensors": Tensors({"model.q_proj.weight": (6, 4)})}  # fmt: skip
OTHER_BASE = {"../base/model.safetensors": Tensors({"model.q_proj.weight": (6, 5)})}
OF_ADAPTER = {**BASE, "adapter_config.json": ADAPTER,
              "adapter_model.safetensors": Tensors(LORA)}  # fmt: skip
FORECASTER = """\
from huggingface_hub import PyTorchModelHubMixin

class Forecaster(nn.Module, PyTorchModelHubMixin):
    def __init__(self, width, depth):
        self.inner = Linear(width, depth)

class Encoder(nn.Module, PyTorchModelHubMixin):
    def __init__(self, size):
        self.outer = Linear(size, size)
"""
OF_HUB_CLASS = {
    "net.py": FORECASTER,
    "config.json": {"width": 2, "depth": 2},
    "model.safetensors": Tensors({"inner.weight": (2, 2)}),
}
DECODER = {
    "model.embed_tokens.weight": (8, 4),
    **{f"model.layers.0.self_attn.{name}_proj.weight": (4, 4) for name in "qkvo"},
    **{f"model.layers.0.mlp.{name}_proj.weight": (6, 4) for name in ("gate", "up")},
    "model.layers.0.mlp.down_proj.weight": (4, 6),
    "model.layers.0.input_layernorm.weight": (4,),
    "model.layers.0.post_attention_layernorm.weight": (4,),
    "model.norm.weight": (4,),
    "lm_head.weight": (8, 4),
}  # fmt: skip
SIZES = """\
{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 8,
 "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 1}
"""
A_DECODER = Made("a Llama with hidden_size 4, 1 layer, 8 tokens", Tensors(DECODER).content)
WITHOUT_ONE = {name: shape for name, shape in model_tensors().items()
               if name != "transformer.0.ffn.w2.weight"}  # fmt: skip
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 4096\n"
CUT = Made("its last 9 bytes are missing", lambda: safetensors("a", missing_bytes=9))
NOISE = Made("a header that is no JSON", lambda: b"\x08" + bytes(7) + b"nonsense" + bytes(16))
EVIL = Made("a pickle that calls os.system", lambda: pickle.dumps(Calls(), protocol=2))
EVIL_WEIGHTS = Made("a pickle that calls os.system", lambda: _saved({"a": Calls()}))
NEW_PROTOCOL = Made("saved with pickle_protocol=4", lambda: _saved(pickle_protocol=4))
OLD_LAYOUT = Made("saved by torch 1.5", lambda: _saved(_use_new_zipfile_serialization=False))
PICKLED = Made("pickled weights", _saved)
CHAT_WORDS = {
    "model": {"type": "WordLevel", "vocab": {"a": 0}},
    "added_tokens": [{"content": "<|user|>", "id": 5}],
}
END = {"eos_token_id": 3}

AS_MIX100 = "(the other files as with MIX100)"
AS_PEFT101 = "(the other files as with PEFT101)"

FILE_EXAMPLES: tuple[FileExample, ...] = (
    # The interpreter, and the check itself
    FileExample(code="ENV101", rows=((None, "ENV101"),), words="(no transformers is installed)"),
    FileExample(code="ENV105", rows=(("99.0.0", "ENV105"),), words="(a release of the future)"),
    FileExample(code="ENV107", rows=(("4.26.1", "ENV107"),), words="(a release of the past)"),
    FileExample(code="CODE103", files={"entry.py": LONG}, whole=OF_CODE, prepared=_too_slow),
    FileExample(code="CODE104", whole=OF_CODE, prepared=_broken, words="(a rule that has a bug)"),
    # config.json
    FileExample(code="DIR101", files={"config.json": None}),
    FileExample(code="DIR102", files={"config.json": '{"model_type": "llama",'}),
    _config("CFG103", {"model_type": "chatglm"}),
    _config(
        "CFG107",
        {**BARE, "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}},
        ("4.41.2", "CFG107"),
        ("4.57.6", "CFG107"),
        ("5.0.0", ""),
        (NEWEST, ""),
    ),
    _config(
        "CFG107",
        {
            "model_type": "llama",
            "rope_parameters": {"rope_type": "linear", "factor": 4.0},
        },
        ("4.41.2", "CFG107"),
        ("4.57.6", "CFG107"),
        (NEWEST, ""),
    ),
    _config(
        "CFG108",
        {**BARE, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
        ("4.41.2", "CFG108"),
        ("4.42.4", "CFG108"),
        ("4.43.0", ""),
        ("4.57.6", ""),
        (NEWEST, ""),
    ),
    _config(
        "CFG109", {**BARE, "max_position_embeddings": "32"}, ("4.57.6", ""), (NEWEST, "CFG109")
    ),
    _config("CFG109", {**BARE, "eos_token_id": "</s>"}, ("4.57.6", ""), (NEWEST, "CFG109")),
    _config("CFG110", {**BARE, "num_attention_heads": 0}),
    _config("DIR115", {**BARE, "vocab_size": 9, "hidden_size": 4}),
    _config("DIR121", {**BARE, "rope_theta": 10000.0, MARK: ["rope_theta"]}),
    FileExample(
        code="DIR124",
        files={
            "config.json": SIZES,
            "model.safetensors": Made(
                "model.norm.weight is not among the tensors",
                Tensors(
                    {name: shape for name, shape in DECODER.items() if name != "model.norm.weight"}
                ).content,
            ),
        },
    ),
    FileExample(
        code="DIR125",
        files={
            "config.json": SIZES,
            "model.safetensors": Made(
                "model.gate.weight is one tensor too many",
                Tensors({**DECODER, "model.gate.weight": (4, 4)}).content,
            ),
        },
    ),
    FileExample(
        code="ENV108",
        files={
            "custom_generate/generate.py": "def generate(model, **inputs): return inputs\n",
            "custom_generate/requirements.txt": "outlines>=0.1\n",
        },
    ),
    FileExample(
        code="DIR123",
        files={"config.json": {**BARE, "vocab_size": 8}, "model.safetensors": A_DECODER},
    ),
    _config(
        "SAFE102",
        {**BARE, "_attn_implementation_internal": "org/kernel"},
        ("4.53.3", ""),
        ("4.54.0", "SAFE102"),
        ("5.3.0", ""),
    ),
    _config(
        "SAFE103",
        {**BARE, "text_config": {"trust_remote_code": True}},
        ("5.4.0", "SAFE103"),
        ("5.5.0", ""),
    ),
    _config(
        "SAFE104",
        {**BARE, "backbone_kwargs": {"trust_remote_code": True}},
        ("4.41.2", ""),
        ("4.42.0", "SAFE104"),
        ("5.1.0", ""),
    ),
    # Weights
    FileExample(
        code="DIR103",
        files={"model.safetensors": None, "m.gguf": Made("weights for llama.cpp", gguf)},
    ),
    FileExample(
        code="DIR104",
        files={INDEX: {"weight_map": {"a": "model-1.safetensors"}}, "model.safetensors": None},
    ),
    FileExample(
        code="DIR105",
        files={
            "model.safetensors": None,
            "x-1.safetensors": Tensors({"a": (1,)}),
            "x-2.safetensors": Tensors({"b": (1,)}),
        },
    ),
    FileExample(
        code="DIR106",
        files={
            INDEX: {"weight_map": {"a": "x.safetensors", "b": "x.safetensors"}},
            "model.safetensors": None,
            "x.safetensors": Tensors({"a": (1,)}),
        },
    ),
    FileExample(code="DIR107", files={"model.safetensors": CUT}),
    FileExample(code="DIR108", files={"model.safetensors": LFS}),
    FileExample(code="DIR109", files={"tokenizer.json": "<!DOCTYPE html><title>Sign in</title>"}),
    FileExample(code="DIR110", files={"model.safetensors": NOISE}),
    FileExample(code="DIR111", files={"config.json": Link("config.json")}),
    FileExample(
        code="DIR114",
        files={"model.safetensors": None, "weights.safetensors": Tensors({"a": (1,)})},
    ),
    FileExample(code="DIR117", files={"model.safetensors": None, "pytorch_model.bin": OLD_LAYOUT}),
    FileExample(
        code="DIR120", files={"model.safetensors": Tensors({"module.a": (1,), "module.b": (1,)})}
    ),
    FileExample(
        code="DIR122",
        files={
            INDEX: {"weight_map": {"a": "x.safetensors"}},
            "model.safetensors": None,
            "x.safetensors": Tensors({"a": (1,), "b": (1,)}),
        },
    ),
    FileExample(
        code="LOAD104",
        files={"model.safetensors": None, "pytorch_model.bin": PICKLED},
        packages={"torch": "2.5.1"},
        words="(torch 2.5.1)",
        rows=(("4.51.3", ""), ("4.52.1", "LOAD104")),
    ),
    FileExample(
        code="SAFE101", files={"model.safetensors": None, "pytorch_model.bin": EVIL_WEIGHTS}
    ),
    FileExample(
        code="SAFE105", files={"model.safetensors": None, "pytorch_model.bin": NEW_PROTOCOL}
    ),
    FileExample(code="SAFE106", files={"vocab.pkl": EVIL}),
    # Classes with PyTorchModelHubMixin
    FileExample(code="MIX100", files=OF_HUB_CLASS, whole={}),
    FileExample(
        code="MIX101",
        files={"config.json": {}},
        whole=OF_HUB_CLASS,
        words=AS_MIX100,
        rows=((NEWEST, "MIX101 MIX100"),),
    ),
    FileExample(
        code="MIX102",
        files={"config.json": {"width": 2}},
        whole=OF_HUB_CLASS,
        words=AS_MIX100,
        rows=((NEWEST, "MIX102 MIX100"),),
    ),
    FileExample(
        code="MIX103",
        files={"config.json": {"size": 2}},
        whole=OF_HUB_CLASS,
        words=AS_MIX100,
        rows=((NEWEST, "MIX103 MIX100"),),
    ),
    FileExample(
        code="MIX105",
        whole={"config.json": MODEL},
        rows=((NEWEST, "MIX105 MIX100"),),
        files={
            "model.safetensors": Made(
                "a Kronos without transformer.0.ffn.w2.weight", Tensors(WITHOUT_ONE).content
            )
        },
    ),
    # Adapters
    FileExample(code="PEFT101", files=OF_ADAPTER, whole={}),
    FileExample(
        code="PEFT102",
        files={"adapter_config.json": {"peft_type": "LORA"}},
        whole=OF_ADAPTER,
        words=AS_PEFT101,
        rows=((NEWEST, "PEFT101 PEFT102"),),
    ),
    FileExample(
        code="PEFT103",
        files={"adapter_model.safetensors": None},
        whole=OF_ADAPTER,
        words=AS_PEFT101,
        rows=((NEWEST, "PEFT101 PEFT103"),),
    ),
    FileExample(
        code="PEFT104",
        files=OTHER_BASE,
        whole=OF_ADAPTER,
        words=AS_PEFT101,
        rows=((NEWEST, "PEFT101 PEFT104"),),
    ),
    FileExample(
        code="PEFT105",
        files={"adapter_config.json": ADAPTER, "adapter_model.safetensors": Tensors(LORA)},
        rows=((NEWEST, "PEFT102 PEFT105"),),
    ),
    # Quantised weights
    _config("QNT101", {**BARE, "quantization_config": {"quant_method": "gemma"}}),
    _config(
        "QNT102",
        {**BARE, "quantization_config": {"quant_method": "hqq"}},
        (NEWEST, "QNT102 QNT101"),
    ),
    FileExample(
        code="QNT103", files={"model.safetensors": Tensors({"layers.0.up.qweight": (2, 2)}, "I32")}
    ),
    # Tokenizers and templates
    FileExample(code="TOK110", files={"tokenizer.json": None}),
    FileExample(
        code="TOK113",
        files={"tokenizer_config.json": {"tokenizer_class": "TokenizersBackend"}},
        rows=(("4.41.2", "TOK113"), ("4.57.6", "TOK113"), ("5.0.0", ""), (NEWEST, "")),
    ),
    FileExample(
        code="TOK113",
        files={"tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"}},
        rows=(("4.36.2", "TOK113"), ("4.37.0", ""), ("4.57.6", "")),
    ),
    FileExample(
        code="TOK114",
        files={"tokenizer_config.json": {"extra_special_tokens": ["<a>"]}},
        rows=(("4.41.2", ""), ("4.49.0", "TOK114"), ("4.57.6", "TOK114"), ("5.0.0", "")),
    ),
    FileExample(
        code="TOK115",
        files={
            "tokenizer.json": {
                "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
            }
        },
        rows=(("4.41.2", "TOK115"), ("4.44.2", "TOK115"), ("4.45.0", ""), (NEWEST, "")),
    ),
    FileExample(
        code="TOK113",
        files={
            "tokenizer.json": {
                "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
            },
            "tokenizer_config.json": {"tokenizer_class": "TokenizersBackend"},
        },
        rows=(("4.41.2", "TOK113"), ("4.45.0", "TOK113"), (NEWEST, "")),
    ),
    FileExample(
        code="TOK111",
        whole=OF_CODE,
        files={
            "config.json": {"model_type": "chatglm", "auto_map": {"AutoConfig": "entry.Model"}},
            "tokenizer_config.json": {},
        },
    ),
    FileExample(code="VOC101", files={"tokenizer.json": None, "vocab.json": {"a": 0}}),
    FileExample(
        code="VOC102",
        files={
            "tokenizer.json": None,
            "vocab.txt": "a\n",
            "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"},
        },
    ),
    FileExample(
        code="VOC103",
        files={
            "tokenizer.json": {"model": {"type": "WordLevel", "vocab": {"a": 8}}},
            "model.safetensors": WHOLE["model.safetensors"],
        },
    ),
    FileExample(code="TPL101", files={"tokenizer.json": CHAT_WORDS}),
    FileExample(code="TPL102", files={"chat_template.jinja": "{% if x %}"}),
    FileExample(
        code="TPL103",
        files={"chat_template.jinja": "a", "tokenizer_config.json": {"chat_template": "b"}},
    ),
    # Generation settings
    FileExample(
        code="GCF101",
        files={"config.json": {**BARE, **END}, "generation_config.json": {"top_k": 50}},
    ),
    FileExample(
        code="GCF102",
        files={"config.json": {**BARE, **END}, "generation_config.json": {"eos_token_id": 2}},
    ),
    FileExample(
        code="GCF103",
        files={"generation_config.json": {"top_p": 0.5}},
        rows=(("4.36.2", ""), ("4.37.0", "GCF103"), ("5.23.0", "GCF103")),
    ),
    FileExample(code="GCF104", files={"generation_config.json": {"max_new_tokens": 0}}),
    # The model's own files
    FileExample(code="DIR112", files={"config.json": WITH_CODE}),
    _code("DIR113", "def f(:"),
    FileExample(
        code="DIR116",
        files={"config.json": {**BARE, "auto_map": {"AutoModel": "entry"}}},
    ),
    _code("DIR118", "print 'loading'"),
    FileExample(
        code="DIR119",
        whole=OF_CODE,
        files={
            "entry.py": Own("from .b import B"),
            "b.py": "from .entry import Model\nB = Model\n",
        },
    ),
    _code(
        "CODE102",
        'import transformers\nIS_NEW = int(transformers.__version__.split(".")[1]) >= 36',
        rows=(("4.57.6", ""), ("5.0.0", "CODE102")),
    ),
    FileExample(
        code="SAFE107",
        files={"config.json": {**BARE, "auto_map": {"AutoModel": "org/name--entry.Model"}}},
    ),
    _code(
        "SAFE110",
        "import base64\nexec(base64.b64decode('cHJpbnQoMSk='))",
        rows=((NEWEST, "SAFE110 SAFE111"),),
    ),
    _code("SAFE111", "def answer(text): return eval(text)"),
    _code("SAFE112", 'import os\ndef build(): os.system("make")'),
    _code(
        "SAFE113",
        "import requests\ndef image(url): return requests.get(url)",
        packages={"requests": "2.32.0"},
    ),
    _code("SAFE114", "import torch\ndef read(path): return torch.load(path)"),
    _code("SAFE115", "import ctypes\ndef kernel(path): return ctypes.CDLL(path)"),
    _code("SAFE116", "import importlib\ndef part(name): return importlib.import_module(name)"),
    _code("SAFE117", 'import os\ndef key(): return os.environ["HF_TOKEN"]'),
    _code("SAFE118", 'def note(text): open("/tmp/note", "w").write(text)'),
    _code("SAFE119", f"KERNEL = '{'QmFz' * 150}'"),
)
