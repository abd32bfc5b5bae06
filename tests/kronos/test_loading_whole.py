"""Directories that can be loaded: as published, as training leaves them, with less than all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from tests.hub_server import HubServer
from tests.kronos.directories import (
    MODEL,
    TOKENIZER,
    Noted,
    PublicKronos,
    PublicTokenizer,
    model,
    model_files,
    same,
    tokenizer,
    tokenizer_files,
    write,
)
from trueup.errors import AdaptError, CheckpointError, ConfigError
from trueup.kronos import Kronos, KronosTokenizer
from trueup.kronos.known import KNOWN_MODELS, KNOWN_TOKENIZERS, hub_id_of
from trueup.kronos.weights import build_empty


def test_a_directory_as_published_loads_every_number_in_eval_mode(tmp_path: Path) -> None:
    found = Kronos.from_pretrained(write(tmp_path, model_files()))
    assert same(found, model())
    assert not any(each.training for each in found.modules())
    assert not any(each.requires_grad for each in found.parameters())


def test_nothing_is_drawn_while_loading(tmp_path: Path) -> None:
    write(tmp_path, model_files())
    torch.manual_seed(5)
    before = torch.get_rng_state()
    Kronos.from_pretrained(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_pickle_of_tensors_loads_without_running_anything(tmp_path: Path, is_zip: bool) -> None:
    write(tmp_path, {"config.json": json.dumps(TOKENIZER).encode()})
    state = tokenizer().state_dict()
    path = tmp_path / "pytorch_model.bin"
    torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    assert same(KronosTokenizer.from_pretrained(tmp_path), tokenizer())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_what_training_puts_before_names_is_taken_off_and_told(tmp_path: Path, prefix: str) -> None:
    files = model_files()
    state = {f"{prefix}{name}": value for name, value in load(files["model.safetensors"]).items()}
    write(tmp_path, {**files, "model.safetensors": save(state)})
    watch = Noted()
    assert same(Kronos.from_pretrained(tmp_path, progress=watch), model())
    (note,) = watch.notes
    assert f"begin with `{prefix}`" in note
    assert str(tmp_path) in note


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is not there, with the 11 arguments of `Kronos`"),
        (b"{}", "is empty and lacks all 11 arguments"),
        (b"", "the file is empty"),
        (b"{ broken", "not JSON"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 30\n", "a Git LFS pointer"),
        (json.dumps({**MODEL, "nLayers": 1}).replace('"n_layers": 1, ', "").encode(),
         "lacks `n_layers` (`nLayers` is there, which may be `n_layers`)"),
    ],
)  # fmt: skip
def test_what_config_json_lacks_is_read_off_the_weights_and_told(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    files = model_files()
    del files["config.json"]
    write(tmp_path, files if content is None else {**files, "config.json": content})
    watch = Noted()
    assert same(Kronos.from_pretrained(tmp_path, progress=watch), model())
    (note,) = watch.notes
    assert told in note
    assert f"trueup check {tmp_path} --write-config" in note


def test_a_tokenizer_without_a_config_is_the_same_tokenizer(tmp_path: Path) -> None:
    files = tokenizer_files(group_size=5)
    del files["config.json"]
    found = KronosTokenizer.from_pretrained(write(tmp_path, files), progress=Noted())
    assert same(found, tokenizer(group_size=5))
    assert found.group_size == 5


def test_tables_that_follow_from_the_arguments_may_be_absent(tmp_path: Path) -> None:
    files = tokenizer_files()
    state = load(files["model.safetensors"])
    kept = {name: value for name, value in state.items() if "inv_freq" not in name}
    kept = {name: value for name, value in kept.items() if "basis" not in name}
    write(tmp_path, {**files, "model.safetensors": save(kept)})
    assert same(KronosTokenizer.from_pretrained(tmp_path), tokenizer())


def test_notes_are_logged_where_nobody_looks_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = model_files()
    del files["config.json"]
    Kronos.from_pretrained(write(tmp_path, files))
    assert "is not there" in caplog.text


def test_bf16_keeps_frequencies_in_fp32(tmp_path: Path) -> None:
    found = Kronos.from_pretrained(write(tmp_path, model_files()), dtype="bfloat16")
    assert {each.dtype for each in found.parameters()} == {torch.bfloat16}
    assert {each.dtype for each in found.buffers()} == {torch.float32}


def test_weights_stored_in_fewer_bits_run_in_fp32_with_whole_frequencies(tmp_path: Path) -> None:
    files = model_files()
    state = {name: each.bfloat16() for name, each in load(files["model.safetensors"]).items()}
    found = Kronos.from_pretrained(write(tmp_path, {**files, "model.safetensors": save(state)}))
    assert {each.dtype for each in found.state_dict().values()} == {torch.float32}
    assert all(map(torch.equal, found.buffers(), model().buffers()))


def test_a_hub_id_a_revision_and_a_short_name_load(hub: HubServer) -> None:
    first = hub.add("NeoQuasar/Kronos-small", model_files())
    hub.add("NeoQuasar/Kronos-small", model_files(ff_dim=20))
    assert Kronos.from_pretrained("neoquasar/kronos-SMALL").ff_dim == 20
    assert Kronos.from_pretrained("kronos-small").ff_dim == 20
    assert same(Kronos.from_pretrained("NeoQuasar/Kronos-small", revision=first), model())
    assert Kronos.from_pretrained(f"kronos-small@{first}").ff_dim == 12


def test_a_model_that_was_loaded_once_is_loaded_again_without_the_hub(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("NeoQuasar/Kronos-small", model_files())
    Kronos.from_pretrained("kronos-small")
    asked = len(hub.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert same(Kronos.from_pretrained("kronos-small"), model())
    assert len(hub.requests) == asked


@pytest.mark.parametrize(
    ("kind", "made", "config"),
    [(PublicKronos, model, MODEL), (PublicTokenizer, tokenizer, TOKENIZER)],
)
def test_what_is_saved_has_a_whole_config_and_the_public_class_loads_it(
    tmp_path: Path, kind: Any, made: Any, config: dict[str, Any]
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"of before")
    made().save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == config
    assert sorted(each.name for each in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert same(kind.from_pretrained(tmp_path, strict=True), made())


def test_what_the_public_class_saves_loads_here(tmp_path: Path) -> None:
    PublicKronos(**MODEL).save_pretrained(tmp_path)
    assert same(Kronos.from_pretrained(tmp_path), PublicKronos.from_pretrained(tmp_path))


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be saved"):
        model().save_pretrained(tmp_path / "file")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cuda:99"}, "not to be had"),
        ({"device": "tpu"}, "the name of no device"),
        ({"device": "meta"}, "not one that Kronos runs on"),
        ({"dtype": "float16"}, "`float16` is not one that Kronos runs in"),
        ({"dtype": torch.int8}, "is not one that Kronos runs in"),
    ],
)
def test_a_device_or_dtype_that_is_not_to_be_had_is_told_before_any_work(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(AdaptError, match=said) as caught:
        Kronos.from_pretrained("/nowhere", **options)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [("token", "HF_TOKEN"), ("strict", "accounted for"), ("odd", "it takes revision")],
)
def test_arguments_of_the_hubs_mixin_name_what_does_their_work(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"takes no `{name}`") as caught:
        Kronos.from_pretrained("/nowhere", **{name: True})
    assert hint in str(caught.value.hint)


def test_the_table_of_known_models_counts_what_the_classes_have() -> None:
    arguments = {
        "kronos-mini": {"n_heads": 4, "ff_dim": 512},
        "kronos-small": {"n_heads": 8, "ff_dim": 1024},
        "kronos-base": {"n_heads": 16, "ff_dim": 2048},
    }
    for name, more in arguments.items():
        known = KNOWN_MODELS[name]
        sizes = {**MODEL, **more, "n_layers": known.n_layers, "d_model": known.d_model}
        built = build_empty(Kronos, sizes)
        assert sum(each.numel() for each in built.parameters()) == known.parameters
    for each in KNOWN_TOKENIZERS:
        sizes = {"d_model": 256, "n_heads": 4, "ff_dim": 512, "n_enc_layers": 4, "n_dec_layers": 4}
        more = {"group_size": each.group_size}
        built_tokenizer = build_empty(KronosTokenizer, {**TOKENIZER, **sizes, **more})
        assert sum(one.numel() for one in built_tokenizer.parameters()) == each.parameters


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("kronos-base", "NeoQuasar/Kronos-base"),
        ("Kronos-Tokenizer-2k@main", "NeoQuasar/Kronos-Tokenizer-2k@main"),
        ("somebody/kronos-base", "somebody/kronos-base"),
    ],
)
def test_short_names_stand_for_hub_ids(name: str, meant: str) -> None:
    assert hub_id_of(name) == meant
