"""Rules about directories, safety and environments."""

from dataclasses import replace
from typing import Any

import pytest

from tests.doctor.facts import checkpoint, environment
from trueup.checkpoint.checkpoint import Problem, Weights
from trueup.doctor.examine import examine
from trueup.doctor.finding import ROUTES
from trueup.doctor.joining import STAGES
from trueup.doctor.rules import RULES
from trueup.environment.environment import Environment

EVERY = ("native", "fixed", "isolated")
CODE_ROUTES = ("fixed", "isolated")


def problem(kind: Any, path: str, **more: Any) -> Problem:
    return Problem(kind=kind, path=path, detail="as it is", **more)


@pytest.mark.parametrize(
    ("met", "code", "stage", "blocks"),
    [
        (problem("absent", "config.json"), "DIR101", "config", EVERY),
        (problem("not_json", "config.json", line=3), "DIR102", "config", EVERY),
        (problem("not_json", "tokenizer_config.json"), "DIR102", "tokenizer", EVERY),
        (problem("missing_shard", "m-2.safetensors"), "DIR104", "load", EVERY),
        (problem("absent", "model.safetensors.index.json"), "DIR105", "load", EVERY),
        (problem("missing_tensor", "m-1.safetensors", key="a"), "DIR106", "load", EVERY),
        (problem("truncated", "model.safetensors"), "DIR107", "load", EVERY),
        (problem("lfs_pointer", "tokenizer.model"), "DIR108", "tokenizer", EVERY),
        (problem("html", "model.safetensors"), "DIR109", "load", EVERY),
        (problem("malformed", "model.safetensors"), "DIR110", "load", EVERY),
        (problem("unreadable", "config.json"), "DIR111", "config", EVERY),
        (problem("absent", "modeling_x.py"), "DIR112", "import", CODE_ROUTES),
        (problem("python_syntax", "tokenization_x.py", line=4), "DIR113", "tokenizer",
         CODE_ROUTES),
        (problem("malformed", "config.json", key="auto_map.AutoModel"), "DIR116", "config",
         CODE_ROUTES),
        (problem("unsafe_pickle", "pytorch_model.bin"), "SAFE101", "load", EVERY),
    ],
)  # fmt: skip
def test_each_problem_becomes_one_finding(
    met: Problem, code: str, stage: str, blocks: tuple[str, ...]
) -> None:
    (finding,) = examine(checkpoint(problems=(met,)), environment())
    assert (finding.code, finding.stage, finding.blocks) == (code, stage, blocks)
    assert (finding.where.path, finding.where.line) == (met.path, met.line)
    assert finding.severity == "error"


OLD_LAYOUT = problem("old_layout", "pytorch_model.bin")
ASSUMED = replace(environment(), library_models={}, is_assumed=True)


@pytest.mark.parametrize(
    ("model_type", "auto_map", "where", "expected"),
    [
        ("llama", {}, environment(), ("warning", ())),
        # As published: code of its own beside a class that the library has by now.
        ("llama", {"AutoModel": "modeling_x.X"}, environment(), ("warning", ())),
        ("chatglm", {"AutoModel": "modeling_x.X"}, environment(), ("error", ("native",))),
        ("roberta", {}, ASSUMED, ("warning", ())),
        ("chatglm", {"AutoModel": "modeling_x.X"}, ASSUMED, ("error", ("native",))),
    ],
)
def test_the_old_pickle_layout_closes_the_native_route_only_to_models_that_we_map(
    model_type: str, auto_map: dict[str, str], where: Environment, expected: tuple[str, Any]
) -> None:
    facts = checkpoint(problems=(OLD_LAYOUT,), config={"model_type": model_type}, auto_map=auto_map)
    (finding,) = [each for each in examine(facts, where) if each.code == "DIR117"]
    assert (finding.stage, finding.where.path) == ("load", "pytorch_model.bin")
    assert (finding.severity, finding.blocks) == expected


def test_a_broken_generation_config_is_a_warning_that_blocks_nothing() -> None:
    met = problem("not_json", "generation_config.json")
    (finding,) = examine(checkpoint(problems=(met,)), environment())
    assert (finding.severity, finding.blocks) == ("warning", ())


@pytest.mark.parametrize(
    ("weights", "codes"),
    [
        (Weights(format="none"), ["DIR103"]),
        (Weights(format="gguf", files=("m.gguf",)), ["DIR103"]),
        (Weights(format="safetensors", files=("m.safetensors",)), ["DIR114"]),
        (Weights(format="pickle", files=("weights.pt",)), ["DIR114"]),
        (Weights(format="pickle", files=("pytorch_model.bin",)), []),
        (Weights(format="safetensors", files=("model.safetensors",)), []),
    ],
)
def test_weights_that_are_not_there_or_oddly_named_are_found(
    weights: Weights, codes: list[str]
) -> None:
    found = examine(checkpoint(weights=weights), environment())
    assert [finding.code for finding in found] == codes


@pytest.mark.parametrize(
    ("torch", "version", "codes"),
    [
        ("2.5.1", "4.52.1", ["LOAD104"]),
        ("2.5.1", "4.51.3", []),
        ("2.6.0", "4.52.1", []),
        ("2.13.0+cpu", "5.23.0", []),
    ],
)
def test_pickles_need_a_torch_that_reads_them_safely(
    torch: str, version: str, codes: list[str]
) -> None:
    weights = Weights(format="pickle", files=("pytorch_model.bin",))
    found = examine(checkpoint(weights=weights), environment(version, torch=torch))
    assert [finding.code for finding in found] == codes


def test_a_byte_order_mark_is_told_with_the_edit_that_takes_it_off() -> None:
    (finding,) = examine(
        checkpoint(problems=(problem("byte_order_mark", "config.json"),)), environment()
    )
    assert finding.code == "DIR102"
    assert "without" in (finding.hint or "")
    assert "--write-config" not in (finding.hint or "")


@pytest.mark.parametrize(
    ("files", "codes"),
    [
        ((), ["TOK110"]),
        (("tokenizer.json",), []),
        (("qwen.tiktoken",), []),
        (("vocab.json", "merges.txt"), []),
    ],
)
def test_a_directory_without_a_vocabulary_is_found(
    files: tuple[str, ...], codes: list[str]
) -> None:
    assert [each.code for each in examine(checkpoint(files=files), environment())] == codes


@pytest.mark.parametrize(
    ("config", "tokenizer_config"),
    [
        ({"model_type": "vit", "architectures": ["ViTForImageClassification"]}, {}),
        ({"model_type": "t5"}, {"tokenizer_class": "ByT5Tokenizer"}),
        ({"model_type": "canine"}, {"tokenizer_class": "CanineTokenizer"}),
    ],
)
def test_models_that_have_no_vocabulary_lack_none(
    config: dict[str, Any], tokenizer_config: dict[str, Any]
) -> None:
    facts = replace(checkpoint(config=config, files=()), tokenizer_config=tokenizer_config)
    found = examine(
        facts, replace(environment(), library_models=dict.fromkeys(["vit", "t5", "canine"]))
    )
    assert [each.code for each in found] == []


def test_the_vocabulary_is_the_one_that_the_tokenizers_own_code_reads() -> None:
    code = (
        "from transformers import PreTrainedTokenizer as P\n"
        'VOCAB_FILES_NAMES = {"vocab_file": "./ice_text.model"}\nclass XTokenizer(P): pass\n'
    )
    (finding,) = examine(checkpoint(tokenization=code), environment())
    assert (finding.code, finding.blocks) == ("TOK110", EVERY)
    assert "`ice_text.model`" in finding.cause
    assert finding.where.line == 2
    whole = checkpoint(tokenization=code, files=("ice_text.model",))
    assert examine(whole, environment()) == ()


@pytest.mark.parametrize(
    ("config", "codes"),
    [
        ({"model_type": "llama"}, []),
        ({"model_type": "chatglm"}, ["CFG103"]),
        ({"hidden_size": 1}, ["CFG103"]),
        ({"model_type": 7}, ["CFG103"]),
        ({}, []),
    ],
)
def test_an_architecture_that_nothing_implements_is_found(
    config: dict[str, Any], codes: list[str]
) -> None:
    assert [each.code for each in examine(checkpoint(config=config), environment())] == codes


def test_a_type_that_is_no_name_is_shown() -> None:
    (finding,) = examine(checkpoint(config={"model_type": 7}), environment())
    assert finding.cause == "`model_type` is 7, expected a name such as `qwen2`"


def test_an_interpreter_without_transformers_is_one_finding() -> None:
    (finding,) = examine(checkpoint(), environment(None))
    assert finding.code == "ENV101"
    assert finding.hint is not None
    assert finding.hint.startswith("/env/bin/python -m pip")


def test_findings_come_in_the_order_in_which_a_model_is_brought_up() -> None:
    problems = (
        problem("unsafe_pickle", "pytorch_model.bin"),
        problem("absent", "modeling_x.py"),
        problem("not_json", "config.json"),
    )
    found = examine(checkpoint(problems=problems, files=()), environment())
    stages = [STAGES.index(finding.stage) for finding in found]
    assert stages == sorted(stages)
    assert len(stages) == 4


def test_codes_are_unique_documented_and_well_formed() -> None:
    codes = [rule.code for rule in RULES]
    assert len(codes) == len(set(codes))
    for rule in RULES:
        assert type(rule).__doc__
        assert rule.stage in STAGES
        assert set(rule.blocks) <= set(ROUTES)


@pytest.mark.parametrize(
    ("requirements", "told"),
    [
        ((), None),
        (("torch>=2.0", "numpy", "Sentence-Piece_x"), "asks for `Sentence-Piece_x`, which"),
        (("torch<2.0",), "asks for `torch<2.0`"),
        (("typing_extensions==4.0", "sentencepiece==0.2.0"), "asks for `typing_extensions==4.0`,"),
    ],
)
def test_packages_that_generating_asks_for_are_looked_for(
    requirements: tuple[str, ...], told: str | None
) -> None:
    facts = replace(checkpoint(), requirements=requirements)
    found = [each for each in examine(facts, environment()) if each.code == "ENV108"]
    assert len(found) == (0 if told is None else 1)
    for each in found:
        assert str(told) in each.cause
        assert (each.blocks, each.exception) == (CODE_ROUTES, "ImportError")
