"""Directories read from disk and examined: tokenizers, templates, adapters, layouts."""

import pickle
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

from tests.checkpoint.directories import read, tensors_of, write
from tests.doctor.facts import environment
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.doctor.rules.quantised import METHODS
from trueup.environment.environment import Environment

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
WHOLE: dict[str, Any] = {
    "config.json": LLAMA,
    "model.safetensors": tensors_of({"model.embed_tokens.weight": (8, 4)}),
    "tokenizer.json": {"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 7}}},
}


def findings(
    directory: Path, files: dict[str, Any], where: Environment | None = None
) -> list[Finding]:
    given = {name: content for name, content in {**WHOLE, **files}.items() if content is not None}
    return list(examine(read(directory, given), where or environment()))


def codes(directory: Path, files: dict[str, Any], where: Environment | None = None) -> list[str]:
    return [each.code for each in findings(directory, files, where)]


def test_a_whole_directory_has_no_findings(tmp_path: Path) -> None:
    assert codes(tmp_path, {}) == []


# Tokenizer files
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"vocab.json": {"a": 0}, "tokenizer.json": None}, ["VOC101"]),
        ({"merges.txt": "a b\n", "tokenizer.json": None}, ["VOC101", "TOK110"]),
        ({"vocab.json": {"a": 0}, "merges.txt": "#\n", "tokenizer.json": None}, []),
        ({"vocab.json": {"a": 0}}, []),
        (
            {
                "vocab.json": {"a": 0},
                "tokenizer.json": None,
                "tokenizer_config.json": {"tokenizer_class": "Wav2Vec2CTCTokenizer"},
            },
            [],
        ),
        (
            {
                "vocab.txt": "a\n",
                "tokenizer.json": None,
                "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"},
            },
            ["VOC102"],
        ),
        (
            {
                "vocab.txt": "a\n",
                "tokenizer.json": None,
                "tokenizer_config.json": {"tokenizer_class": "BertTokenizerFast"},
            },
            [],
        ),
        ({"tokenizer.json": {"model": {"type": "WordLevel", "vocab": {"a": 8}}}}, ["VOC103"]),
    ],
)
def test_halves_and_foreign_files_of_tokenizers_are_found(
    tmp_path: Path, files: dict[str, Any], expected: list[str]
) -> None:
    assert sorted(codes(tmp_path, files)) == sorted(expected)


def test_an_added_token_without_a_row_is_a_warning(tmp_path: Path) -> None:
    shape = {**WHOLE["tokenizer.json"], "added_tokens": [{"content": "<pad>", "id": 8}]}
    (finding,) = findings(tmp_path, {"tokenizer.json": shape})
    assert (finding.code, finding.severity, finding.blocks) == ("VOC103", "warning", ())
    assert "`<pad>` is 8" in finding.cause


# Chat templates
CHAT = {"tokenizer.json": {**WHOLE["tokenizer.json"],
                           "added_tokens": [{"content": "<|im_start|>", "id": 5}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (CHAT, ["TPL101"]),
        ({**CHAT, "chat_template.jinja": "{{ messages }}"}, []),
        ({**CHAT, "tokenizer_config.json": {"chat_template": "{{ messages }}"}}, []),
        ({**CHAT, "config.json": {"model_type": "llama"}}, []),
        ({"chat_template.jinja": "{% if x %}"}, ["TPL102"]),
        ({"chat_template.jinja": "{{ x | nofilter }}"}, ["TPL102"]),
        ({"chat_template.jinja": b"\xff\xfe"}, ["TPL102"]),
        ({"chat_template.jinja": "{{ 9 ** 9 ** 9 ** 9 }}{% autoescape 9 ** 9 ** 9 ** 9 %}"
                                 "{{ 'a' | center(99999999999) }}{% endautoescape %}"}, []),
        ({"chat_template.jinja": "{% if x is nothing_known %}{% endif %}"}, ["TPL102"]),
        ({"chat_template.jinja": "{% if a %}" * 50_000}, ["TPL102"]),
        ({"chat_template.jinja": "{{ " + "(" * 50_000}, ["TPL102"]),
        ({"chat_template.jinja": "{{ " + "1 + " * 50_000 + "1 }}"}, ["TPL102"]),
        ({"chat_template.jinja": "{% for x in y %}{% generation %}a{% endgeneration %}"
                                 "{% break %}{% endfor %}{{ x | tojson(indent=4) }}"}, []),
        ({"tokenizer_config.json": {"chat_template": [{"name": "tools", "template": "{{"}]}},
         ["TPL102"]),
        ({"tokenizer_config.json": {"chat_template": 7}}, ["TPL102"]),
        ({"chat_template.jinja": "a", "tokenizer_config.json": {"chat_template": "b"}},
         ["TPL103"]),
        ({"chat_template.jinja": "a\n", "tokenizer_config.json": {"chat_template": "a"}}, []),
    ],
)  # fmt: skip
def test_chat_templates_are_judged(
    tmp_path: Path, files: dict[str, Any], expected: list[str]
) -> None:
    assert codes(tmp_path, files) == expected


def test_a_name_says_that_a_model_is_for_chats(tmp_path: Path) -> None:
    assert codes(tmp_path / "Big-7B-Instruct", {}) == ["TPL101"]
    assert codes(tmp_path / "Big-7B-Italian", {}) == []


def test_a_base_model_needs_no_template_whatever_tokens_it_has(tmp_path: Path) -> None:
    assert codes(tmp_path / "Big-7B-Base", CHAT) == []
    assert codes(tmp_path / "Big-7B-Baseline", CHAT) == ["TPL101"]


def test_the_line_in_a_template_file_is_told(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, {"chat_template.jinja": "a\n{% oops %}\n"})
    assert (finding.where.path, finding.where.line) == ("chat_template.jinja", 2)
    assert "`" not in str(finding.where)


@pytest.mark.parametrize(
    ("version", "told"),
    [("4.46.3", "the one in tokenizer_config.json is used"),
     ("4.47.0", "`chat_template.jinja` is used")],
)  # fmt: skip
def test_which_of_two_templates_wins_depends_on_the_release(
    tmp_path: Path, version: str, told: str
) -> None:
    files = {"chat_template.jinja": "a", "tokenizer_config.json": {"chat_template": "b"}}
    found = findings(tmp_path, files, environment(version))
    finding = next(each for each in found if each.code == "TPL103")
    assert told in finding.cause


# generation_config.json
@pytest.mark.parametrize(
    ("settings", "config", "expected"),
    [
        ({"eos_token_id": 2}, {"eos_token_id": 2}, []),
        ({"eos_token_id": [2, 3]}, {"eos_token_id": 3}, []),
        ({"eos_token_id": 2}, {"eos_token_id": 3}, ["GCF102"]),
        ({"top_k": 50}, {"eos_token_id": 3}, ["GCF101"]),
        ({"top_k": 50}, {}, []),
        ({"_from_model_config": True}, {"eos_token_id": 3}, []),
        ({"_from_model_config": True, "eos_token_id": 2}, {"eos_token_id": 3}, []),
        ({"eos_token_id": 2}, {}, []),
    ],
)
def test_where_answers_end_is_compared(
    tmp_path: Path, settings: dict[str, Any], config: dict[str, Any], expected: list[str]
) -> None:
    files = {"generation_config.json": settings, "config.json": {**LLAMA, **config}}
    assert codes(tmp_path, files) == expected


def test_the_end_of_the_tokenizer_is_asked_too(tmp_path: Path) -> None:
    files = {
        "generation_config.json": {"eos_token_id": 0},
        "tokenizer_config.json": {"eos_token": "<e>"},
        "tokenizer.json": {**WHOLE["tokenizer.json"],
                           "added_tokens": [{"content": "<e>", "id": 6}]},
    }  # fmt: skip
    (finding,) = findings(tmp_path, files)
    assert finding.code == "GCF102"
    assert "the tokenizer's `eos_token` at 6" in finding.cause


SETTINGS = [
    {"early_stopping": "maybe"}, {"max_new_tokens": 0}, {"num_return_sequences": 3},
    {"num_return_sequences": 3, "num_beams": 2}, {"num_return_sequences": 3, "do_sample": True},
    {"temperature": 0.5}, {"top_p": 0.5}, {"min_p": 0.1}, {"length_penalty": 2.0},
    {"early_stopping": True}, {"do_sample": True, "temperature": 0.5},
    {"num_beams": 3, "length_penalty": 2.0}, {"temperature": 1.0, "top_k": 50}, {},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_installed_transformers_refuses_what_is_said_to_be_refused(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    found = codes(tmp_path, {"generation_config.json": settings})
    try:
        loaded = GenerationConfig.from_pretrained(tmp_path)
    except ValueError:
        assert found == ["GCF104"]
        return
    assert "GCF104" not in found
    try:
        loaded.validate(strict=True)
    except ValueError:
        assert found == ["GCF103"]
    else:
        assert found == []


@pytest.mark.parametrize(
    ("version", "severity"),
    [("4.36.2", None), ("4.37.0", "warning"), ("5.22.2", "warning"), ("5.23.0", "info")],
)
def test_saving_is_refused_on_some_releases(
    tmp_path: Path, version: str, severity: str | None
) -> None:
    found = findings(tmp_path, {"generation_config.json": {"top_p": 0.5}}, environment(version))
    assert [each.severity for each in found if each.code == "GCF103"] == [severity] * bool(severity)


# Adapters
LORA = {
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (2, 4),
    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": (6, 2),
}
BASE_TENSORS = {"model.layers.0.self_attn.q_proj.weight": (6, 4)}
ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 2,
           "target_modules": ["q_proj"]}  # fmt: skip


def adapter_findings(
    directory: Path, config: dict[str, Any], base: dict[str, tuple[int, ...]] | None = None
) -> list[Finding]:
    if base is not None:
        write(directory / "base", {"config.json": LLAMA, "model.safetensors": tensors_of(base)})
    files = {"adapter_config.json": config, "adapter_model.safetensors": tensors_of(LORA)}
    return list(examine(read(directory / "adapter", files), environment()))


def test_an_adapter_is_named_with_its_base_and_nothing_else_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    found = adapter_findings(tmp_path, ADAPTER)
    assert [each.code for each in found] == ["PEFT101", "PEFT102"]
    assert "LORA adapter of `org/base`" in found[0].cause
    assert found[0].blocks == ("native", "fixed", "isolated")
    assert found[1].hint == "hf download org/base"


def test_an_adapter_that_fits_the_base_beside_it_is_no_more_than_an_adapter(tmp_path: Path) -> None:
    found = adapter_findings(tmp_path, ADAPTER, BASE_TENSORS)
    assert [each.code for each in found] == ["PEFT101"]


def test_the_base_is_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    repository = tmp_path / "cache" / "models--org--base"
    write(repository, {"refs/main": "c0ffee"})
    weights = tensors_of({"lm_head.weight": (2, 2)})
    write(repository / "snapshots" / "c0ffee", {"config.json": LLAMA, "model.safetensors": weights})
    found = adapter_findings(tmp_path, ADAPTER)
    assert [each.code for each in found] == ["PEFT101", "PEFT104"]
    assert "no module `q_proj`" in found[1].cause


@pytest.mark.parametrize(
    ("config", "base", "told"),
    [
        (ADAPTER, {"model.layers.0.self_attn.q_proj.weight": (6, 5)}, "is for 4, the base's"),
        (ADAPTER, {"model.layers.0.self_attn.q_proj.weight": (7, 4)}, "is for 6, the base's"),
        (ADAPTER, {"model.layers.0.attn.q_proj.weight": (6, 4)}, "it has no `model.layers.0"),
        ({**ADAPTER, "target_modules": ["W_pack"]}, BASE_TENSORS, "no module `W_pack`"),
    ],
)
def test_an_adapter_of_another_base_is_found(
    tmp_path: Path, config: dict[str, Any], base: dict[str, tuple[int, ...]], told: str
) -> None:
    found = adapter_findings(tmp_path, config, base)
    assert [each.code for each in found] == ["PEFT101", "PEFT104"]
    assert told in found[1].cause


def test_an_adapter_beside_a_model_is_a_warning(tmp_path: Path) -> None:
    files = {"adapter_config.json": ADAPTER, "adapter_model.safetensors": tensors_of(LORA)}
    found = codes(tmp_path, files)
    assert "PEFT105" in found
    assert "PEFT101" not in found


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"adapter_config.json": ADAPTER}, "PEFT103"),
        ({"adapter_config.json": ADAPTER, "adapter_model.safetensors": b"<html>"}, "DIR109"),
        ({"adapter_config.json": {"peft_type": "LORA"}}, "PEFT102"),
        ({"adapter_config.json": "{"}, "DIR102"),
    ],
)
def test_adapters_that_are_not_whole_are_found(
    tmp_path: Path, files: dict[str, Any], code: str
) -> None:
    assert code in [each.code for each in examine(read(tmp_path, files), environment())]


class Calls:
    """Unpickled, it would call what it names."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1",)


def test_a_pickled_adapter_that_runs_code_is_one_finding(tmp_path: Path) -> None:
    files = {"adapter_config.json": ADAPTER, "adapter_model.bin": pickle.dumps({"a": Calls()})}
    found = [each for each in examine(read(tmp_path, files), environment())
             if each.where.path == "adapter_model.bin"]  # fmt: skip
    assert len(found) == 1
    assert found[0].code.startswith("SAFE")


# Layouts
def gguf(version: int = 3, short_by: int = 0) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    entries = [
        (b"general.architecture", struct.pack("<I", 8) + text("qwen2")),
        (b"qwen2.context_length", struct.pack("<II", 4, 32768)),
        (b"qwen2.block_count", struct.pack("<II", 4, 24)),
        (b"tokenizer.ggml.tokens", struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")),
        (b"tokenizer.ggml.scores", struct.pack("<IIQ", 9, 6, 2) + bytes(8)),
    ]
    content = b"GGUF" + struct.pack("<IQQ", version, 2, len(entries))
    content += b"".join(text(key.decode()) + value for key, value in entries)
    content += text("token_embd.weight") + struct.pack("<IQQIQ", 2, 4, 4, 0, 0)
    content += text("blk.0.ffn_up.weight") + struct.pack("<IQQIQ", 2, 64, 64, 12, 64)
    return content[: len(content) - short_by]


def test_a_gguf_file_is_named_with_what_its_header_says(tmp_path: Path) -> None:
    (finding,) = examine(read(tmp_path, {"m.gguf": gguf()}), environment())
    assert finding.code == "DIR103"
    assert "(qwen2, Q4_K, 24 layers, context 32,768, 2 tensors)" in finding.cause


@pytest.mark.parametrize(
    ("content", "code"),
    [(gguf(short_by=9), "DIR107"), (gguf(version=9), "DIR110"), (b"GGUF", "DIR107"),
     (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60), "DIR110")],
)  # fmt: skip
def test_a_damaged_gguf_file_is_found(tmp_path: Path, content: bytes, code: str) -> None:
    found = [each.code for each in examine(read(tmp_path, {"m.gguf": content}), environment())]
    assert sorted(found) == sorted([code, "DIR103"])


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("consolidated.00.pth", "Meta"),
        ("consolidated.safetensors", "Mistral"),
        ("global_step10/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "ZeRO"),
        ("mp_rank_00/model_optim_rng.pt", "Megatron"),
        ("__0_0.distcp", "FSDP"),
        ("flax_model.msgpack", "Flax"),
        ("tf_model.h5", "TensorFlow"),
        ("onnx/model.onnx", "ONNX"),
        ("weights.npz", "MLX"),
    ],
)
def test_layouts_of_other_programs_are_named(tmp_path: Path, file: str, told: str) -> None:
    files = {"model.safetensors": None, file: tensors_of({"a": (1,)})}
    found = [each for each in findings(tmp_path, files) if each.code == "DIR103"]
    assert len(found) == 1
    assert told in found[0].cause
    assert "DIR114" not in codes(tmp_path, files)


def test_one_shard_of_several_is_an_error(tmp_path: Path) -> None:
    files = {"model.safetensors": None, "model-00001-of-00003.safetensors": tensors_of({"a": (1,)})}
    (finding,) = findings(tmp_path, files)
    assert (finding.code, finding.severity) == ("DIR114", "error")
    assert "one of 3 shards" in finding.cause


def test_tensors_that_the_index_leaves_out_are_found(tmp_path: Path) -> None:
    files = {
        "model.safetensors": None,
        "model.safetensors.index.json": {"weight_map": {"a": "x.safetensors"}},
        "x.safetensors": tensors_of({"a": (1,), "b": (1,), "c": (1,)}),
    }
    (finding,) = findings(tmp_path, files)
    assert (finding.code, finding.where.path) == ("DIR122", "x.safetensors")
    assert "2 of its tensors" in finding.cause


@pytest.mark.parametrize(
    ("settings", "packages", "expected"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, {}, ["QNT102", "QNT101"]),
        ({"quant_method": "gptq", "bits": 4}, {"gptqmodel": "1", "optimum": "1"}, ["QNT101"]),
        ({"quant_method": "awq"}, {"autoawq": "1", "accelerate": "1"}, ["QNT101"]),
        ({"load_in_4bit": True}, {}, ["QNT102", "QNT101"]),
        ({"quant_method": "fp8"}, {"accelerate": "1"}, ["QNT101"]),
        ({"quant_method": "exl2"}, {}, ["QNT102"]),
        ({}, {}, ["QNT102"]),
    ],
)
def test_quantised_weights_are_named_with_what_they_need(
    tmp_path: Path, settings: dict[str, Any], packages: dict[str, str], expected: list[str]
) -> None:
    files = {"config.json": {**LLAMA, "quantization_config": settings}}
    assert codes(tmp_path, files, environment("5.23.0", **packages)) == expected


@pytest.mark.parametrize(
    ("version", "tensor", "severity"),
    [
        ("5.23.0", "model.norm.weight", "warning"),
        ("4.49.0", "model.norm.weight", "warning"),
        ("4.48.3", "model.norm.weight", "error"),
        ("5.23.0", "model.layers.0.mlp.up_proj.q_weight", "error"),
    ],
)
def test_an_unknown_method_is_skipped_by_releases_that_do_so(
    tmp_path: Path, version: str, tensor: str, severity: str
) -> None:
    files = {
        "config.json": {**LLAMA, "quantization_config": {"quant_method": "foo"}},
        "model.safetensors": tensors_of({"model.embed_tokens.weight": (8, 4), tensor: (4, 4)}),
    }
    found = findings(tmp_path, files, environment(version))
    (finding,) = [each for each in found if each.code == "QNT102"]
    assert finding.severity == severity
    assert bool(finding.blocks) == (severity == "error")
    assert "names `foo`" in finding.cause


def test_settings_that_name_no_method_are_said_to(tmp_path: Path) -> None:
    files = {"config.json": {**LLAMA, "quantization_config": {"bits": 4}}}
    (finding,) = findings(tmp_path, files)
    assert finding.severity == "error"
    assert finding.cause.startswith("`quantization_config` has no `quant_method`, without which")


def test_every_method_of_the_installed_transformers_is_known() -> None:
    names = {re.sub(r"_[48]bit$", "", name) for name in AUTO_QUANTIZER_MAPPING}
    assert names <= set(METHODS)


def test_packed_tensors_without_their_config_are_found(tmp_path: Path) -> None:
    weights = tensors_of({"model.layers.0.mlp.up_proj.qweight": (2, 2)}, dtype="I32")
    files = {"model.safetensors": weights, "quantize_config.json": {"bits": 4}}
    (finding,) = findings(tmp_path, files)
    assert finding.code == "QNT103"
    assert "`quantize_config.json`" in str(finding.hint)


# The model's own code
def code_findings(directory: Path, sources: dict[str, str]) -> list[Finding]:
    entry = {"auto_map": {"AutoModel": "entry.Model"}}
    return findings(directory, {"config.json": {**LLAMA, **entry}, **sources})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("print 'loading'", "a `print` statement"),
        ("exec 'x = 1'", "a `exec` statement"),
        ("try: pass\nexcept ValueError, e: pass", "`except A, error`"),
        ("raise ValueError, 'no'", "`raise A, message`"),
        ("if a <> b: pass", "the operator `<>`"),
        ("x = `a`", "backquotes"),
        ("mode = 0777", "an octal number"),
        ("big = 10L", "a long number"),
    ],
)
def test_python_2_is_called_by_its_name(tmp_path: Path, line: str, told: str) -> None:
    (finding,) = code_findings(tmp_path, {"entry.py": f"import os\n{line}\nclass Model: pass\n"})
    assert finding.code == "DIR118"
    assert f"`entry.py` is Python 2: {told}" in finding.cause
    assert finding.where.line is not None


@pytest.mark.parametrize("source", ["class Model(\n", "def f(:\n", "x = = 1\n"])
def test_a_damaged_file_is_not_called_python_2(tmp_path: Path, source: str) -> None:
    (finding,) = code_findings(tmp_path, {"entry.py": source})
    assert finding.code == "DIR113"


@pytest.mark.parametrize(
    ("entry", "second", "expected"),
    [
        ("from .b import B\nclass Model: pass\n", "from .entry import Model\nclass B: pass\n",
         ["DIR119"]),
        ("class Model: pass\nfrom .b import B\n", "from .entry import Model\nclass B: pass\n", []),
        ("from .b import B\nclass Model: pass\n",
         "class B:\n    def f(self):\n        from .entry import Model\n", []),
        ("from . import b\nclass Model: pass\n", "from . import entry\nclass B: pass\n", []),
        ("from .entry import Model\nclass Model: pass\n", "", ["DIR119"]),
        # Where the name comes from is another question: the file is imported to its end.
        ("from .b import B\nclass Model: pass\n", "from math import *\n", []),
        ("from .b import B\nclass Model: pass\n",
         "try:\n    from .entry import Model\nexcept ImportError:\n    pass\nclass B: pass\n", []),
    ],
)  # fmt: skip
def test_a_circle_of_imports_is_found_where_a_name_is_needed_too_early(
    tmp_path: Path, entry: str, second: str, expected: list[str]
) -> None:
    found = code_findings(tmp_path, {"entry.py": entry, "b.py": second})
    # That the class is no model is another finding, of a later stage.
    assert [each.code for each in found if each.stage == "import"] == expected


def test_a_long_chain_of_branches_is_followed(tmp_path: Path) -> None:
    chain = "if a == 0: pass\n" + "".join(f"elif a == {n}: pass\n" for n in range(1, 1500))
    source = f"from .b import B\na = 1\n{chain}class Model: pass\n"
    found = code_findings(tmp_path, {"entry.py": source, "b.py": "class B: pass\n"})
    told = {each.code for each in found if each.stage == "import"}
    assert told <= {"DIR113"}  # where the parser itself gives up


@pytest.mark.parametrize(("first", "second"), [("entry", "b"), ("walrus", "otter")])
def test_python_itself_agrees_about_the_circle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    package = f"circle_{first}"
    sources = {
        f"{first}.py": f"from .{second} import B\nclass Model: pass\n",
        f"{second}.py": f"from .{first} import Model\nclass B: pass\n",
    }
    write(tmp_path / package, {"__init__.py": "", **sources})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match="partially initialized"):
        __import__(f"{package}.{first}")
    config = {**LLAMA, "auto_map": {"AutoModel": f"{first}.Model"}}
    found = findings(tmp_path / "model", {"config.json": config, **sources})
    assert [(each.code, each.where.path) for each in found] == [("DIR119", f"{second}.py")]


def test_one_circle_is_one_finding_where_loading_enters_it(tmp_path: Path) -> None:
    auto_map = {"AutoModel": "modeling_x.Model", "AutoConfig": "configuration_x.Config"}
    sources = {
        "configuration_x.py": "from .modeling_x import X\nclass Config: pass\n",
        "modeling_x.py": "from .configuration_x import Config\nclass Model: pass\nX = 1\n",
    }
    config = {**LLAMA, "auto_map": auto_map}
    found = findings(tmp_path, {"config.json": config, **sources})
    circles = [(each.where.path, each.where.line) for each in found if each.code == "DIR119"]
    assert circles == [("modeling_x.py", 1)]
