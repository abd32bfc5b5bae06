"""Models of PyTorchModelHubMixin: which argument is missing, and why."""

from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import read, tensors_of
from tests.doctor.facts import environment
from trueup.checkpoint.layouts.kronos import BLOCK, MODEL_ARGUMENTS, TOKENIZER_ARGUMENTS
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding

TOKENIZER = {
    "d_in": 6, "d_model": 8, "n_heads": 2, "ff_dim": 12, "n_enc_layers": 2, "n_dec_layers": 2,
    "ffn_dropout_p": 0.0, "attn_dropout_p": 0.0, "resid_dropout_p": 0.0, "s1_bits": 3,
    "s2_bits": 2, "beta": 0.05, "gamma0": 1.0, "gamma": 1.1, "zeta": 0.05, "group_size": 5,
}  # fmt: skip
MODEL = {
    "s1_bits": 3, "s2_bits": 2, "n_layers": 1, "d_model": 8, "n_heads": 2, "ff_dim": 12,
    "ffn_dropout_p": 0.2, "attn_dropout_p": 0.0, "resid_dropout_p": 0.2, "token_dropout_p": 0.0,
    "learn_te": True,
}  # fmt: skip
FORECASTER = """
from huggingface_hub import PyTorchModelHubMixin
class Base(nn.Module, PyTorchModelHubMixin):
    pass
class Forecaster(Base):
    def __init__(self, width, depth, *, horizon, dropout=0.1):
        self.inner = Linear(width, depth)
class Other(nn.Module, PyTorchModelHubMixin):
    def __init__(self, size, **settings):
        self.outer = Linear(size, size)
"""


def block(prefix: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        f"{prefix}{name}": (8,) if name.endswith("bias") or name.startswith("norm") else (8, 8)
        for name in BLOCK
    }
    shapes |= {f"{prefix}ffn.w1.weight": (12, 8), f"{prefix}self_attn.rotary.inv_freq": (2,)}
    return shapes


def tokenizer_tensors() -> dict[str, tuple[int, ...]]:
    return {
        "embed.weight": (8, 6), "embed.bias": (8,), "head.weight": (6, 8), "head.bias": (6,),
        "quant_embed.weight": (5, 8), "quant_embed.bias": (5,),
        "post_quant_embed_pre.weight": (8, 3), "post_quant_embed_pre.bias": (8,),
        "post_quant_embed.weight": (8, 5), "post_quant_embed.bias": (8,),
        "tokenizer.bsq.group_basis": (5,), **block("encoder.0."), **block("decoder.0."),
    }  # fmt: skip


def model_tensors() -> dict[str, tuple[int, ...]]:
    return {
        "embedding.emb_s1.weight": (8, 8), "embedding.emb_s2.weight": (4, 8),
        "embedding.fusion_proj.weight": (8, 16), "norm.weight": (8,), "dep_layer.norm.weight": (8,),
        "head.proj_s1.weight": (8, 8), "head.proj_s2.weight": (4, 8),
        **{f"dep_layer.cross_attn.{name}_proj.weight": (8, 8) for name in ("q", "k", "v", "out")},
        **{f"time_emb.{part}_embed.weight": (60, 8)
           for part in ("minute", "hour", "weekday", "day", "month")},
        **block("transformer.0."),
    }  # fmt: skip


def findings(
    directory: Path, config: Any, shapes: dict[str, tuple[int, ...]], **files: Any
) -> list[Finding]:
    given = {"model.safetensors": tensors_of(shapes), **files}
    if config is not None:
        given["config.json"] = config
    found = examine(read(directory, given), environment())
    return [each for each in found if each.code != "MIX100"]


@pytest.mark.parametrize(
    ("config", "shapes"),
    [(TOKENIZER, tokenizer_tensors()), (MODEL, model_tensors())],
)
def test_a_whole_kronos_directory_has_no_errors(
    tmp_path: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]]
) -> None:
    assert findings(tmp_path, config, shapes) == []


@pytest.mark.parametrize(
    ("config", "reason"), [(None, "is not in the directory"), ({}, "is empty")]
)
@pytest.mark.parametrize(
    ("shapes", "arguments"),
    [(tokenizer_tensors(), TOKENIZER_ARGUMENTS), (model_tensors(), MODEL_ARGUMENTS)],
)
def test_without_a_config_all_arguments_are_named(
    tmp_path: Path, config: Any, reason: str, shapes: Any, arguments: tuple[str, ...]
) -> None:
    (finding,) = findings(tmp_path, config, shapes)
    assert finding.code == "MIX101"
    assert reason in finding.cause
    assert f"all of its {len(arguments)} arguments" in finding.cause
    assert all(f"`{name}`" in finding.cause for name in arguments)
    assert str(finding.hint).endswith("--write-config")


def test_one_missing_key_is_named(tmp_path: Path) -> None:
    config = {key: value for key, value in TOKENIZER.items() if key != "group_size"}
    (finding,) = findings(tmp_path, config, tokenizer_tensors())
    assert (finding.code, finding.where.key) == ("MIX102", "group_size")
    assert "lacks 1 argument of `KronosTokenizer`: `group_size`" in finding.cause


@pytest.mark.parametrize("name", ["groupSize", "group-size", "group_sizes"])
def test_a_renamed_key_is_recognised(tmp_path: Path, name: str) -> None:
    config = {key: value for key, value in TOKENIZER.items() if key != "group_size"} | {name: 5}
    (finding,) = findings(tmp_path, config, tokenizer_tensors())
    assert f"`{name}` is there, which may be `group_size`" in finding.cause
    assert finding.hint == f"rename `{name}` to `group_size` in config.json"


@pytest.mark.parametrize(
    ("config", "shapes", "told", "missing"),
    [
        (TOKENIZER, model_tensors(), "that of `KronosTokenizer`", 3),
        (MODEL, tokenizer_tensors(), "that of `Kronos`", 8),
    ],
)
def test_the_config_of_the_other_class_is_told_as_that(
    tmp_path: Path, config: Any, shapes: Any, told: str, missing: int
) -> None:
    found = findings(tmp_path, config, shapes)
    finding = next(each for each in found if each.code == "MIX103")
    assert told in finding.cause
    assert f"misses {missing} arguments" in finding.cause
    assert not any(each.code == "MIX102" for each in found)


@pytest.mark.parametrize(
    ("config", "shapes", "key", "told"),
    [
        ({**MODEL, "d_model": 16}, model_tensors(), "d_model", "16, and the weights have 8"),
        ({**TOKENIZER, "group_size": 4}, tokenizer_tensors(), "group_size", "Tokenizer-2k"),
        ({**TOKENIZER, "n_enc_layers": 4}, tokenizer_tensors(), "n_enc_layers", "have 2"),
    ],
)
def test_a_value_that_the_shapes_contradict_is_found(
    tmp_path: Path, config: Any, shapes: Any, key: str, told: str
) -> None:
    (finding,) = findings(tmp_path, config, shapes)
    assert (finding.code, finding.where.key) == ("DIR115", key)
    assert told in finding.cause


@pytest.mark.parametrize("config", [TOKENIZER, MODEL])
def test_a_directory_without_weights_says_so(tmp_path: Path, config: dict[str, Any]) -> None:
    found = examine(read(tmp_path, {"config.json": config}), environment())
    assert [each.code for each in found] == ["DIR103", "MIX100"]


def test_a_tensor_that_would_stay_random_is_found(tmp_path: Path) -> None:
    shapes = model_tensors()
    del shapes["transformer.0.ffn.w2.weight"]
    (finding,) = findings(tmp_path, MODEL, shapes)
    assert finding.code == "MIX105"
    assert "`transformer.0.ffn.w2.weight`" in finding.cause


def test_names_of_a_wrapped_model_are_found(tmp_path: Path) -> None:
    shapes = {f"module.{name}": shape for name, shape in model_tensors().items()}
    (finding,) = [each for each in findings(tmp_path, MODEL, shapes) if each.code.startswith("DIR")]
    assert finding.code == "DIR120"
    assert "begin with `module.`" in finding.cause


@pytest.mark.parametrize("config", ["{", "<!DOCTYPE html>"])
def test_a_broken_config_is_one_finding_of_its_own(tmp_path: Path, config: str) -> None:
    found = findings(tmp_path, config, model_tensors())
    assert [each.code for each in found] == ["DIR109" if "html" in config else "DIR102"]


@pytest.mark.parametrize(
    ("config", "code", "names"),
    [
        ({}, "MIX101", ["width", "depth", "horizon"]),
        ({"width": 1, "horizon": 2}, "MIX102", ["depth"]),
        ({"size": 4}, "MIX103", ["width", "depth", "horizon"]),
    ],
)
def test_classes_in_python_files_are_read_for_their_arguments(
    tmp_path: Path, config: Any, code: str, names: list[str]
) -> None:
    found = findings(tmp_path, config, {"inner.weight": (2, 2)}, **{"net.py": FORECASTER})
    (finding,) = found
    assert finding.code == code
    assert "`Forecaster`" in finding.cause
    assert all(f"`{name}`" in finding.cause for name in names)
    assert "`dropout`" not in finding.cause


def test_renaming_the_class_and_its_file_changes_no_code(tmp_path: Path) -> None:
    source = FORECASTER.replace("Forecaster", "Zebra").replace("Base", "Quagga")
    found = findings(tmp_path, {}, {"inner.weight": (2, 2)}, **{"stripes.py": source})
    assert [each.code for each in found] == ["MIX101"]
    assert "`Zebra`" in found[0].cause


def test_a_class_that_the_weights_are_not_of_is_no_hub_model(tmp_path: Path) -> None:
    found = findings(tmp_path, {"a": 1}, {"elsewhere.weight": (2, 2)}, **{"net.py": FORECASTER})
    assert "MIX102" not in [each.code for each in found]
