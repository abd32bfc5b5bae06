from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.adapt.own_model import (
    HIDDEN,
    MODELING,
    VOCABULARY_TOKENS,
    own_plan,
    small_tensors,
    write_small,
)
from tests.homes import home_at
from trueup.adapt.load import Loaded, load_plan
from trueup.errors import AdaptError, RequestError
from trueup.trust.consents import Consents


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", home_at(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path / "home"


def loaded(directory: Path, **changed: Any) -> Loaded:
    return load_plan(own_plan(directory, **changed))


def expected_logits(tensors: dict[str, torch.Tensor], ids: list[int], scale: float) -> Any:
    """The model's equations, written down once more."""
    table = 1 / 10 ** (torch.arange(HIDDEN) / HIDDEN)
    places = torch.arange(1, len(ids) + 1)[:, None].float()
    state = torch.cumsum(tensors["embed.weight"][ids] * torch.cos(places * table), dim=0)
    state = torch.tanh(state @ tensors["layers.0.weight"].T + tensors["layers.0.bias"]) * scale
    return state @ tensors["embed.weight"].T


@pytest.mark.parametrize("saved_scale", [None, 0.5])
def test_what_is_computed_is_what_files_and_constructor_say(
    saved_scale: float | None, tmp_path: Path
) -> None:
    tensors = small_tensors(1)
    if saved_scale is not None:
        tensors["scale"] = torch.tensor([saved_scale])
    made = loaded(write_small(tmp_path / "m", tensors))
    ids = [3, 9, 250, 17, 4]
    with torch.inference_mode():
        logits = made.model(torch.tensor([ids])).logits[0]
    assert not made.model.training
    # Without a value in the files the buffer keeps what the constructor initialised it with.
    torch.testing.assert_close(logits, expected_logits(tensors, ids, saved_scale or 3.0))


def test_tables_are_computed_in_the_plans_dtype_as_from_pretrained_does(tmp_path: Path) -> None:
    directory = write_small(tmp_path / "m", small_tensors())
    wide, narrow = (loaded(directory, dtype=each).model for each in ("float32", "bfloat16"))
    assert wide.table.dtype == torch.float32
    assert narrow.table.dtype == narrow.layers[0].weight.dtype == torch.bfloat16


def test_weights_stay_mapped_and_the_tied_head_is_the_embedding(tmp_path: Path) -> None:
    tensors = small_tensors()
    tensors["head.weight"] = tensors["embed.weight"].clone()
    model = loaded(write_small(tmp_path / "m", tensors)).model
    assert model.head.weight is model.embed.weight
    assert torch.equal(model.head.weight, tensors["embed.weight"])


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "too many": ({"layers.1.weight": torch.zeros(2, 2)}, r"`layers\.1\.weight` is not part of"),
    "too few": ({"layers.0.bias": None}, r"hold nothing for `layers\.0\.bias`"),
    "another shape": (
        {"layers.0.bias": torch.zeros(3)},
        r"`layers\.0\.bias` has the shape \[3\], the model's code wants \[16\]",
    ),
    "untied": (
        {"head.weight": torch.zeros(VOCABULARY_TOKENS, HIDDEN)},
        r"`embed\.weight` and `head\.weight` differ",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_tensor_is_accounted_for(name: str, tmp_path: Path) -> None:
    changes, message = BROKEN[name]
    tensors = {**small_tensors(), **changes}
    kept = {key: value for key, value in tensors.items() if value is not None}
    with pytest.raises(AdaptError, match=message):
        loaded(write_small(tmp_path / "m", kept))


def test_a_table_that_the_files_hold_is_computed_all_the_same(tmp_path: Path) -> None:
    tensors = {**small_tensors(), "table": torch.zeros(HIDDEN)}
    model = loaded(write_small(tmp_path / "m", tensors)).model
    assert model.table[0] == 1


def test_what_runs_is_the_agreed_copy_and_nothing_else(tmp_path: Path, home: Path) -> None:
    plan = own_plan(write_small(tmp_path / "m", small_tensors()))
    (copy,) = home.glob("trust/code/*/model/tables.py")
    copy.chmod(0o600)
    copy.write_text("def frequencies(width):\n    raise SystemExit(9)\n")
    with pytest.raises(AdaptError, match="is not what was agreed to"):
        load_plan(plan)
    shutil.rmtree(home / "trust" / "code", ignore_errors=True)
    with pytest.raises(AdaptError, match="is not there"):
        load_plan(plan)


def test_without_consent_no_code_runs(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    code = f"open({str(touched)!r}, 'w').close()\n{MODELING}"
    plan = own_plan(write_small(tmp_path / "my model", small_tensors(), modeling_small=code))
    (consent,) = Consents().all()
    Consents().revoke(consent)
    for each in (plan, replace(plan, code=None)):
        with pytest.raises(AdaptError, match="only with your consent") as refused:
            load_plan(each)
        assert refused.value.where == str(tmp_path / "my model")
        assert refused.value.hint == f"trueup trust '{tmp_path / 'my model'}'"
    assert not touched.exists()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("import nowhere_to_be_found\n", "its code cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "its code cannot be imported: SystemExit: 3"),
        ("def frequencies(width):\n    return 1 / 0\n", "the model cannot be built: ZeroDivision"),
    ],
)
def test_code_that_fails_is_named_with_its_line(broken: str, message: str, tmp_path: Path) -> None:
    directory = write_small(tmp_path / "m", small_tensors(), tables=broken)
    with pytest.raises(AdaptError, match=message) as caught:
        loaded(directory)
    if "nowhere" not in broken:
        assert "tables.py:" in str(caught.value.where)


def test_code_of_another_repository_runs_from_the_copy_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    directory = write_small(tmp_path / "m", small_tensors())
    snapshot = cache / "models--org--code" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    for path in directory.glob("*.py"):
        path.rename(snapshot / path.name)
    refs = cache / "models--org--code" / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    config = directory / "config.json"
    text = config.read_text()
    for module in ("configuration_", "modeling_"):
        text = text.replace(f'"{module}', f'"org/code--{module}')
    config.write_text(text)
    plan = own_plan(directory)
    shutil.rmtree(cache)
    model = load_plan(plan).model
    assert type(model).__name__ == "SmallForCausalLM"


def test_the_prompt_and_the_stops_are_what_its_own_chat_would_use(tmp_path: Path) -> None:
    made = loaded(write_small(tmp_path / "m", small_tensors()))
    assert made.stop_token_ids == (2, 1, 7)
    messages = [
        {"role": "system", "content": "Be loud."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    tokenizer: Any = made.tokenizer
    assert made.encode_chat(messages) == tokenizer("Be loud.<one|two><three|")["input_ids"]
    assert made.encode_chat(messages[1:2]) == tokenizer("Be brief.<one|")["input_ids"]
    assert "generate" not in vars(made.model)
    for wrong, param in (
        ([*messages[1:], messages[0]], "messages[3].role"),
        (messages[:3], "messages[2].role"),
        ([{"role": "tool", "content": "x"}], "messages[0].role"),
        ([{"role": "poet", "content": "x"}], "messages[0].role"),
    ):
        with pytest.raises(RequestError) as caught:
            made.encode_chat(wrong)
        assert caught.value.param == param
    with pytest.raises(RequestError) as caught:
        made.encode_chat(messages[:1])
    assert caught.value.where == "messages[0]"
    assert "first message of role `user`" in (caught.value.hint or "")


def test_a_chat_template_is_taken_before_the_chat_function(tmp_path: Path) -> None:
    directory = write_small(tmp_path / "m", small_tensors())
    template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    (directory / "chat_template.jinja").write_text(template)
    made = loaded(directory)
    tokenizer: Any = made.tokenizer
    ids = made.encode_chat([{"role": "user", "content": "one"}])
    assert ids == tokenizer("[user]one")["input_ids"]


def spoil(name: str) -> Callable[[Any], None]:
    def plant(model: Any) -> None:
        tensor = model.get_parameter(name) if "." in name else model.get_buffer(name)
        tensor.data = tensor.data * 3

    return plant


@pytest.mark.parametrize(
    ("plant", "code", "name"),
    [
        (spoil("layers.0.bias"), "GUARD101", "layers.0.bias"),
        (spoil("table"), "GUARD102", "table"),
        # A file may hold it and this one does not.
        (spoil("scale"), "GUARD102", "scale"),
        (lambda model: model.layers.train(), "GUARD105", "layers"),
    ],
)
def test_a_fault_in_a_model_of_its_own_code_is_not_served(
    plant: Callable[[Any], None], code: str, name: str, tmp_path: Path
) -> None:
    plan = own_plan(write_small(tmp_path / "m", small_tensors()))
    with pytest.raises(AdaptError, match=f"`{name}`") as caught:
        load_plan(plan, inspect=plant)
    assert caught.value.code == code


def test_files_in_another_dtype_are_converted(tmp_path: Path) -> None:
    directory = write_small(tmp_path / "m", small_tensors())
    half = {name: tensor.half() for name, tensor in small_tensors().items()}
    save_file(half, directory / "model.safetensors")
    model = loaded(directory).model
    assert torch.equal(model.layers[0].weight, half["layers.0.weight"].float())


def test_what_code_keeps_in_fp32_stays_there_and_what_it_builds_in_halves_does_not(
    tmp_path: Path,
) -> None:
    layer = "nn.Linear(config.hidden_size, config.hidden_size"
    for built, wanted, kept in (
        ("float32", "bfloat16", "float32"),
        ("float16", "float32", "float32"),
        ("float16", "bfloat16", "bfloat16"),
    ):
        code = MODELING.replace(layer, f"{layer}, dtype=torch.{built}")
        directory = write_small(
            tmp_path / f"{built}-{wanted}", small_tensors(), modeling_small=code
        )
        model = loaded(directory, dtype=wanted).model
        assert str(model.layers[0].weight.dtype) == f"torch.{kept}"
        assert str(model.embed.weight.dtype) == f"torch.{wanted}"
