"""Every way in which loading Kronos fails: what the public classes say, and what is said here.

The public side is huggingface_hub's real mixin over directories and a loopback hub. Where it says
nothing and the model is wrong, that is shown.
"""

from __future__ import annotations

import json
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load, save

from tests.doctor.facts import environment
from tests.hub_server import SIGN_IN_PAGE, HubServer
from tests.kronos.conftest import Load
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
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.doctor.catalogue import explain
from trueup.doctor.examine import examine
from trueup.errors import CheckpointError, HubError, TrueUpError
from trueup.kronos import Kronos, KronosTokenizer

NAME = "NeoQuasar/Kronos-Tokenizer-base"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 15874000\n"
HUB_TRACE = 'File "/env/huggingface_hub/hub_mixin.py", line 1, in from_pretrained\n'
Files = dict[str, bytes]


def known_as(error: Exception) -> str:
    """The code by which `trueup check --error` knows what a user sees."""
    told = f"Traceback (most recent call last):\n{HUB_TRACE}{type(error).__name__}: {error}"
    return explain(told)[1][0].code


def refused(kind: Any, source: Any, **options: Any) -> TrueUpError:
    with pytest.raises(TrueUpError) as caught:
        kind.from_pretrained(source, **options)
    assert caught.value.hint
    return caught.value


def words(error: TrueUpError) -> str:
    return f"{error.cause} | {error.where} | {error.hint}"


def without(name: str) -> Callable[[Files], Files]:
    return lambda files: {key: each for key, each in files.items() if key != name}


def with_file(name: str, content: bytes) -> Callable[[Files], Files]:
    return lambda files: {**files, name: content}


def with_config(**changes: Any) -> Callable[[Files], Files]:
    return with_file("config.json", json.dumps({**TOKENIZER, **changes}).encode())


def with_weights(change: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    return lambda files: {**files, "model.safetensors": change(files["model.safetensors"])}


def other_names(change: Callable[[dict[str, Any]], Any]) -> Callable[[Files], Files]:
    """A weight file after `change` of its tensors."""

    def changed(content: bytes) -> bytes:
        tensors = load(content)
        change(tensors)
        return save(tensors)

    return with_weights(changed)


def renamed(**names: str) -> bytes:
    return json.dumps({names.get(key, key): each for key, each in TOKENIZER.items()}).encode()


@pytest.mark.parametrize(
    ("change", "seen", "known", "note"),
    [
        (without("config.json"), "missing 16 required", "MIX101", "is not there"),
        (with_file("config.json", b"{}"), "missing 16 required", "MIX101", "is empty"),
        (with_file("config.json", renamed(group_size="groupSize")),
         "missing 1 required positional argument: 'group_size'", "MIX102",
         "lacks `group_size` (`groupSize` is there"),
        (with_file("config.json", b"{ broken"), "JSONDecodeError", "DIR102", "not JSON"),
        (with_file("config.json", SIGN_IN_PAGE), "JSONDecodeError", "DIR102", "a web page"),
    ],
)  # fmt: skip
def test_a_config_that_stops_the_public_class_is_read_off_the_weights(
    tmp_path: Path, public_load: Load, change: Any, seen: str, known: str, note: str
) -> None:
    directory = write(tmp_path / "tokenizer", change(tokenizer_files()))
    error = public_load(PublicTokenizer, str(directory))
    assert seen in f"{type(error).__name__}: {error}"
    assert error is not None
    assert known_as(error) == known
    watch = Noted()
    assert same(KronosTokenizer.from_pretrained(directory, progress=watch), tokenizer())
    assert note in watch.notes[0]


def test_a_config_that_is_absent_on_the_hub_is_read_off_the_weights_too(
    hub: HubServer, public_load: Load
) -> None:
    hub.add(NAME, without("config.json")(tokenizer_files()))
    assert "missing 16 required" in str(public_load(PublicTokenizer, NAME))
    watch = Noted()
    assert same(KronosTokenizer.from_pretrained(NAME, progress=watch), tokenizer())
    assert "is not there" in watch.notes[0]


def test_what_neither_config_nor_weights_tell_is_named(tmp_path: Path) -> None:
    lost = other_names(
        lambda tensors: [tensors.pop(name) for name in list(tensors) if "inv_freq" in name]
    )
    directory = write(tmp_path, lost(without("config.json")(tokenizer_files())))
    error = refused(KronosTokenizer, directory)
    assert "the weights do not tell `n_heads`" in error.cause
    assert error.where == str(directory / "config.json")


# What is wrong locally: the change, what the public class says (None: nothing), what is said here.
LOCAL = [
    ("another class's weights", model_files, "missing 8 required", "MIX103",
     "the directory holds a Kronos language model, expected Kronos tokenizer",
     "`Kronos.from_pretrained` loads this one"),
    ("another class's config",
     lambda: with_file("config.json", json.dumps(MODEL).encode())(tokenizer_files()),
     "missing 8 required", "MIX103",
     "config.json is that of `Kronos` and the weights are those of `KronosTokenizer`",
     "--write-config"),
    ("no weights", lambda: without("model.safetensors")(tokenizer_files()),
     "No such file or directory", "DIR103", "has no weight file", "hf download"),
    ("truncated", lambda: with_weights(lambda each: each[:-100])(tokenizer_files()),
     "file not fully covered", "DIR107", "`model.safetensors` is cut short", "hf download"),
    ("an LFS pointer", lambda: with_file("model.safetensors", POINTER)(tokenizer_files()),
     "header too large", "DIR108", "a Git LFS pointer to 15874000 bytes", "git lfs pull"),
    ("a web page", lambda: with_file("model.safetensors", SIGN_IN_PAGE)(tokenizer_files()),
     "header too large", "DIR108", "a web page, not the content", "sign in to the network"),
    ("another width", lambda: with_config(d_model=16)(tokenizer_files()),
     "size mismatch for embed.weight", "DIR115",
     "`d_model` is 16, and the weights have 8", "--write-config"),
    ("2k with the config of base", lambda: with_config(group_size=4)(tokenizer_files(group_size=5)),
     "group_basis", "DIR115", "`group_size` is 4, and the weights have 5",
     "Kronos-mini goes with Kronos-Tokenizer-2k"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "seen", "known", "cause", "hint"),
    [each[1:] for each in LOCAL],
    ids=[each[0] for each in LOCAL],
)
def test_a_directory_that_stops_the_public_class_is_explained(
    tmp_path: Path, public_load: Load, made: Any, seen: str, known: str, cause: str, hint: str
) -> None:
    directory = write(tmp_path / "Kronos-Tokenizer-base", made())
    seen_error = public_load(PublicTokenizer, str(directory))
    assert seen_error is not None
    assert seen in str(seen_error)
    assert known_as(seen_error) == known
    error = refused(KronosTokenizer, directory)
    assert isinstance(error, CheckpointError)
    assert cause in error.cause
    assert hint in str(error.hint)
    assert str(directory) in str(error.where)


@pytest.mark.parametrize("made", [each[1] for each in LOCAL[1:]], ids=[x[0] for x in LOCAL[1:]])
def test_the_check_of_such_a_directory_finds_an_error(tmp_path: Path, made: Any) -> None:
    checkpoint = read_checkpoint(resolve(str(write(tmp_path / "kronos", made()))))
    found = examine(checkpoint, environment())
    assert [each for each in found if each.severity == "error"]


def test_a_tokenizer_given_as_the_model_is_told_which_class_it_is(
    tmp_path: Path, public_load: Load
) -> None:
    directory = write(tmp_path / "tokenizer", tokenizer_files())
    assert "missing 3 required" in str(public_load(PublicKronos, str(directory)))
    error = refused(Kronos, directory)
    assert "the directory holds a Kronos tokenizer" in error.cause
    assert "`--tokenizer` takes it" in str(error.hint)
    assert "NeoQuasar/Kronos-small" in str(error.hint)


def test_a_path_that_is_not_there_is_no_hub_id(
    hub: HubServer, public_load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "models" / "Kronos-small", model_files())
    monkeypatch.chdir(tmp_path)
    seen = public_load(PublicKronos, "./models/Kronos-smal")
    assert type(seen).__name__ == "HFValidationError"
    assert seen is not None
    assert known_as(seen) == "HUB102"
    error = refused(Kronos, "./models/Kronos-smal")
    assert "does not exist" in error.cause
    assert "`Kronos-small`" in str(error.hint)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("name", "options", "kind", "said"),
    [
        ("NeoQuasar/Kronos-Tokenizer-bsae", {}, "missing", "NeoQuasar/Kronos-Tokenizer-base"),
        (NAME, {"revision": "v9"}, "revision", "`main`"),
    ],
)
def test_a_repository_or_revision_that_is_not_there_is_told(
    hub: HubServer, public_load: Load, name: str, options: Any, kind: str, said: str
) -> None:
    hub.add(NAME, tokenizer_files())
    assert "missing 16 required" in str(public_load(PublicTokenizer, name, **options))
    error = refused(KronosTokenizer, name, **options)
    assert isinstance(error, HubError)
    assert error.kind == kind
    assert said in words(error)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ({"status": 403}, "denied", "403"),
        ({"status": 404}, "missing", NAME),
        ({"status": 429}, "busy", "429"),
        ({"status": 500}, "busy", "500"),
        ({"page": SIGN_IN_PAGE}, "network", "is not a hub"),
    ],
)
def test_a_hub_that_refuses_is_told_as_that(
    hub: HubServer, public_load: Load, fault: dict[str, Any], kind: str, said: str
) -> None:
    hub.add(NAME, tokenizer_files())
    hub.fail(NAME, **fault)
    seen = public_load(PublicTokenizer, NAME)
    assert type(seen).__name__ == "LocalEntryNotFoundError"
    assert seen is not None
    assert known_as(seen) in ("HUB101", "HUB103")
    error = refused(KronosTokenizer, NAME)
    assert isinstance(error, HubError)
    assert error.kind == kind
    assert said in words(error)


def test_no_network_is_told_as_that(
    hub: HubServer, public_load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:  # bound and not listening: nobody else answers there
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(hub.url, nowhere)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setenv("HF_ENDPOINT", nowhere)
        assert type(public_load(PublicTokenizer, NAME)).__name__ == "LocalEntryNotFoundError"
        error = refused(KronosTokenizer, NAME)
    assert isinstance(error, HubError)
    assert error.kind == "network"
    assert "neither a directory here nor in the cache" in error.cause
    assert "HF_ENDPOINT" in str(error.hint)


def test_weights_that_are_not_on_the_hub_are_told_as_that(
    hub: HubServer, public_load: Load
) -> None:
    hub.add(NAME, without("model.safetensors")(tokenizer_files()))
    seen = public_load(PublicTokenizer, NAME)
    assert "pytorch_model.bin" in str(seen)
    assert seen is not None
    assert known_as(seen) == "DIR103"
    assert "has no weight file" in refused(KronosTokenizer, NAME).cause


def test_nothing_is_downloaded_of_a_repository_that_is_the_wrong_one(hub: HubServer) -> None:
    hub.add(NAME, tokenizer_files())
    assert "holds a Kronos tokenizer" in refused(Kronos, NAME).cause
    assert not [each for each in hub.requests if each.is_cdn and each.range is None]


# From here on the public class says nothing, and the model is another one.


def test_wrapped_names_leave_the_public_class_random(tmp_path: Path, public_load: Load) -> None:
    wrapped = {f"module.{name}": each for name, each in tokenizer().state_dict().items()}
    directory = write(tmp_path, {**tokenizer_files(), "model.safetensors": save(wrapped)})
    assert public_load(PublicTokenizer, str(directory)) is None
    assert not same(PublicTokenizer.from_pretrained(str(directory)), tokenizer())
    assert same(KronosTokenizer.from_pretrained(directory, progress=Noted()), tokenizer())


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("encoder.0.ffn.w2.weight", "lack 1 tensor of `KronosTokenizer`, which would stay random"),
        ("quant_embed.weight", "the weights lack `quant_embed.weight` of `KronosTokenizer`"),
    ],
)
def test_a_tensor_that_would_stay_random_is_named(
    tmp_path: Path, public_load: Load, lost: str, said: str
) -> None:
    files = other_names(lambda tensors: tensors.pop(lost))(tokenizer_files())
    directory = write(tmp_path, files)
    assert public_load(PublicTokenizer, str(directory)) is None
    error = refused(KronosTokenizer, directory)
    assert said in error.cause
    assert f"`{lost}`" in error.cause


def put(name: str, value: torch.Tensor) -> Callable[[Files], Files]:
    return other_names(lambda tensors: tensors.update({name: value}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("lora.weight", torch.ones(2)), "hold 1 tensor that `KronosTokenizer` does not have"),
        (put("embed.bias", torch.ones(9)), "`embed.bias` has the shape [9], expected [8]"),
        (put("embed.bias", torch.ones(8, dtype=torch.int8)), "`embed.bias` is of I8"),
        (put("embed.bias", torch.full((8,), torch.nan)), "`embed.bias` holds NaN"),
        (put("embed.bias", torch.full((8,), torch.inf)), "`embed.bias` holds infinity"),
        (put("encoder.0.self_attn.rotary.inv_freq", torch.ones(2)), "other frequencies"),
    ],
)
def test_tensors_that_are_not_those_of_the_class_are_named(
    tmp_path: Path, change: Any, said: str
) -> None:
    assert said in refused(KronosTokenizer, write(tmp_path, change(tokenizer_files()))).cause


def test_names_of_which_only_some_are_wrapped_are_told(tmp_path: Path) -> None:
    state = {f"module.{name}": each for name, each in tokenizer().state_dict().items()}
    state["head.bias"] = state.pop("module.head.bias")
    directory = write(tmp_path, {**tokenizer_files(), "model.safetensors": save(state)})
    error = refused(KronosTokenizer, directory)
    assert "begin with `module.`, the others do not: `head.bias`" in error.cause


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ({"beta": "high"}, "beta", "is `'high'`, expected a number"),
        ({"d_in": 6.0}, "d_in", "is `6.0`, expected a whole number"),
        ({"group_size": 3}, "group_size", "which does not divide the 20 bits of a bar"),
        ({"n_heads": 3}, "n_heads", "which does not divide `d_model` 8"),
        ({"ffn_dropout_p": 1}, "ffn_dropout_p", "from 0 to below 1"),
        ({"s1_bits": 10**30}, "s1_bits", "from 1 to 24"),
    ],
)
def test_values_that_no_class_can_be_made_of_are_told(
    tmp_path: Path, changes: dict[str, Any], where: str, said: str
) -> None:
    error = refused(KronosTokenizer, write(tmp_path, with_config(**changes)(tokenizer_files())))
    assert said in error.cause
    assert str(error.where).endswith(f"config.json: {where}")


class Sprung:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('it ran')",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps({"a": Sprung()}), "unpickling it would import"),
        (b"", "cut short"),
        (pickle.dumps([1, 2]), "`pytorch_model.bin`"),
    ],
)
def test_a_pickle_that_is_more_than_tensors_is_not_opened(
    tmp_path: Path, content: bytes, said: str
) -> None:
    files = {"config.json": json.dumps(TOKENIZER).encode(), "pytorch_model.bin": content}
    assert said in refused(KronosTokenizer, write(tmp_path, files)).cause


def test_a_checkpoint_of_a_training_is_told_as_that(tmp_path: Path) -> None:
    write(tmp_path, {"config.json": json.dumps(TOKENIZER).encode()})
    torch.save({"model": tokenizer().state_dict(), "epoch": 3}, tmp_path / "pytorch_model.bin")
    assert "no plain table of tensors" in refused(KronosTokenizer, tmp_path).cause


def test_another_model_is_told_as_that(tmp_path: Path) -> None:
    weights = save({"model.embed_tokens.weight": torch.ones(2, 2)})
    error = refused(Kronos, write(tmp_path, {"config.json": b"{}", "model.safetensors": weights}))
    assert "this is another model: its weights are not a Kronos language model's" in error.cause
    assert error.hint == "name a Kronos language model, such as `NeoQuasar/Kronos-small`"
    assert "`model.embed_tokens.weight`" in error.cause


def test_the_models_own_sizes_are_told_as_the_tokenizers_are(tmp_path: Path) -> None:
    files = {**model_files(), "config.json": json.dumps({**MODEL, "n_layers": 2}).encode()}
    error = refused(Kronos, write(tmp_path, files))
    assert "`n_layers` is 2, and the weights have 1" in error.cause
    assert same(Kronos.from_pretrained(write(tmp_path, model_files())), model())
