import collections
import io
import os
import pickle
import pickletools
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from trueup.checkpoint import pickles
from trueup.checkpoint.pickle_names import ALLOWED
from trueup.checkpoint.pickles import PickleContent, PickleError
from trueup.checkpoint.weights import read_weights

STATE = {
    "a.weight": torch.zeros(3, 5, dtype=torch.float16),
    "b": torch.zeros(7, dtype=torch.bfloat16),
    "c": torch.nn.Parameter(torch.zeros(2, 2)),
    "d": torch.zeros(4, dtype=torch.int64),
}


@pytest.fixture(params=["zip", "legacy"])
def layout(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "zip")


def read_pickle_header(path: Path, name: str) -> PickleContent:
    with path.open("rb") as file:
        return pickles.read_pickle_header(file, name)


def save(value: Any, path: Path, *, is_zip: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=is_zip)
    return path


def test_names_shapes_and_dtypes_are_read_without_unpickling(tmp_path: Path, layout: bool) -> None:
    content = read_pickle_header(save(STATE, tmp_path / "w.bin", is_zip=layout), "w.bin")
    assert content.unsafe == ()
    assert {name: (t.dtype, t.shape, t.size_bytes) for name, t in content.tensors.items()} == {
        "a.weight": ("F16", (3, 5), 30),
        "b": ("BF16", (7,), 14),
        "c": ("F32", (2, 2), 16),
        "d": ("I64", (4,), 32),
    }


def test_a_modules_state_dict_with_its_metadata_is_read(tmp_path: Path, layout: bool) -> None:
    state = torch.nn.Linear(2, 3).state_dict()
    content = read_pickle_header(save(state, tmp_path / "w.bin", is_zip=layout), "w.bin")
    assert sorted(content.tensors) == ["bias", "weight"]


class Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_a_function_that_unpickling_would_call_is_named_and_not_called(
    tmp_path: Path, layout: bool
) -> None:
    mark = tmp_path / "ran"
    state = {**STATE, "evil": Runs(os.system, f"touch {mark}")}
    content = read_pickle_header(save(state, tmp_path / "w.bin", is_zip=layout), "w.bin")
    assert content.unsafe == ("posix.system",)
    assert "a.weight" in content.tensors
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_every_protocol_of_pickle_is_seen_through(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "w.bin"
    path.write_bytes(pickle.dumps({"x": Runs(eval, "1/0")}, protocol=protocol))
    assert [name.split(".")[-1] for name in read_pickle_header(path, "w").unsafe] == ["eval"]


def test_a_broken_pickle_that_names_something_unsafe_is_unsafe_first(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    path.write_bytes(b"\x80\x02cos\nsystem\n(S'x'\ntR}0000.")
    assert read_pickle_header(path, "w").unsafe == ("os.system",)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.999])
def test_a_file_cut_short_is_truncated(tmp_path: Path, layout: bool, kept: float) -> None:
    state = {"a": torch.zeros(1000)}
    path = save(state, tmp_path / "w.bin", is_zip=layout)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(PickleError) as caught:
        read_pickle_header(path, "w.bin")
    assert caught.value.kind == "truncated"
    assert "cut short" not in caught.value.detail.partition(":")[0]
    assert "not a zip file" not in caught.value.detail


@pytest.mark.parametrize(
    "content",
    [
        b"hello world, this is no pickle",
        b"\x80\x02K\x01.",
        b"\x80\x02" + b"(" * 100_000 + b"l" * 100_000 + b".",
        b"\x80\x04r\xff\xff\xff\x7f.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
    ],
)
def test_what_is_no_pickle_of_weights_is_a_problem_and_costs_nothing(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "w.bin"
    path.write_bytes(content)
    with pytest.raises(PickleError):
        read_pickle_header(path, "w.bin")


def test_a_zip_of_something_else_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(PickleError, match=r"data\.pkl"):
        read_pickle_header(path, "w.bin")


def test_a_storage_that_is_not_in_the_archive_is_truncated(tmp_path: Path) -> None:
    whole = save(STATE, tmp_path / "whole.bin", is_zip=True)
    path = tmp_path / "w.bin"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.namelist():
            if not entry.endswith("data/0"):
                target.writestr(entry, source.read(entry))
    with pytest.raises(PickleError) as caught:
        read_pickle_header(path, "w.bin")
    assert caught.value.kind == "truncated"


def test_the_allow_list_is_within_that_of_torch() -> None:
    from torch._weights_only_unpickler import _get_allowed_globals

    theirs = set(_get_allowed_globals())
    ours = {f"{module}.{name}" for module, name in ALLOWED}
    extra = {
        name
        for name in ours - theirs
        if not name.startswith(("__builtin__.", "torch.cuda.", "torch.storage."))
    }
    assert extra <= {"torch.UntypedStorage", "torch._tensor._rebuild_from_type_v2"}


def test_plain_containers_around_the_tensors_are_safe(tmp_path: Path) -> None:
    state = collections.OrderedDict(a=torch.zeros(1), n={1, 2}, m=bytearray(b"x"))
    content = read_pickle_header(save(state, tmp_path / "w.bin", is_zip=True), "w.bin")
    assert content.unsafe == ()
    assert pickletools.genops(io.BytesIO(content.header))


def test_only_the_old_layout_is_a_problem_because_it_cannot_be_mapped(
    tmp_path: Path, layout: bool
) -> None:
    save(STATE, tmp_path / "pytorch_model.bin", is_zip=layout)
    _, problems, _ = read_weights(tmp_path, {"pytorch_model.bin": 1})
    assert [problem.kind for problem in problems] == ([] if layout else ["old_layout"])


def loaded_by_torch(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a protocol that it may refuse
            torch.load(path, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError):
        return False
    return True


PLAIN: dict[str, Any] = {"a": torch.zeros(2, 2), "n": 3, "s": "x", "f": 0.5, "l": [1, (2, None)]}
REFUSABLE: list[tuple[str, Any, int]] = [
    ("plain", PLAIN, 2),
    ("newer protocol", PLAIN, 4),
    ("newest protocol", PLAIN, 5),
    ("containers", {"o": collections.OrderedDict(a=1), "c": collections.Counter("ab")}, 2),
    ("sets and bytes", {"s": {1}, "b": bytearray(b"x"), "y": b"z", "j": 1j}, 2),
    ("large number", {"n": 1 << 2100}, 2),
    ("dtype", {"d": torch.float8_e4m3fnuz, "q": torch.uint4, "e": torch.device("cpu")}, 2),
    ("size", {"z": torch.Size([1, 2])}, 2),
    ("frozen set", {"s": frozenset({1})}, 2),
    ("path", {"p": Path("x")}, 2),
    ("function", {"f": os.getcwd}, 2),
    ("evil", {"e": Runs(os.getpid)}, 2),
]


@pytest.mark.parametrize(("value", "protocol"), [row[1:] for row in REFUSABLE],
                         ids=[row[0] for row in REFUSABLE])  # fmt: skip
def test_what_torch_refuses_is_refused_and_nothing_else(
    tmp_path: Path, value: Any, protocol: int
) -> None:
    path = tmp_path / "w.bin"
    torch.save(value, path, pickle_protocol=protocol)
    content = read_pickle_header(path, "w.bin")
    assert (not content.unsafe and not content.odd) == loaded_by_torch(path)


def test_every_global_that_torch_allows_is_allowed() -> None:
    from torch._weights_only_unpickler import _get_allowed_globals

    ours = {f"{module}.{name}" for module, name in ALLOWED}
    assert set(_get_allowed_globals()) <= ours


def test_odd_instructions_are_a_problem_of_their_own(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "pytorch_model.bin", pickle_protocol=4)
    _, (problem,), _ = read_weights(tmp_path, {"pytorch_model.bin": 1})
    assert problem.kind == "odd_pickle"
    assert "`STACK_GLOBAL`" in problem.detail


def test_no_file_can_change_what_reads_the_next_one(tmp_path: Path) -> None:
    evil = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(N}(X\x08\x00\x00\x00__call__K\x01utb."
    (tmp_path / "evil.bin").write_bytes(evil)
    with pytest.raises(PickleError):
        read_pickle_header(tmp_path / "evil.bin", "evil.bin")
    content = read_pickle_header(save(STATE, tmp_path / "w.bin", is_zip=True), "w.bin")
    assert content.tensors["a.weight"].shape == (3, 5)


@pytest.mark.parametrize("name", ["x/data.pkl", "x/DATA.PKL", "y/data.pkl"])
def test_an_archive_that_shows_two_pickles_is_refused(tmp_path: Path, name: str) -> None:
    path = save(STATE, tmp_path / "x.bin", is_zip=True)
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile sees the duplicate too
        archive.writestr(name, pickle.dumps({"x": Runs(eval, "1")}))
    with pytest.raises(PickleError, match="2 entries"):
        read_pickle_header(path, "x.bin")


def test_torchscript_is_code_and_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    save(STATE, path, is_zip=True)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("w/code/__torch__.py", "def f(): pass")
    assert read_pickle_header(path, "w.bin").unsafe == ("TorchScript",)


@pytest.mark.parametrize("content", [b"N0" * 5_000_000 + b"N.", b"\x80\x02" + b"]" * 9_000_000])
def test_a_pickle_of_trifles_is_given_up(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup.checkpoint.pickle_reader.READ_LIMIT", 10_000)
    path = tmp_path / "w.bin"
    path.write_bytes(content)
    with pytest.raises(PickleError, match="too many instructions"):
        read_pickle_header(path, "w.bin")


def test_frames_do_not_hide_how_much_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trueup.checkpoint.pickle_reader.READ_LIMIT", 10_000)
    path = tmp_path / "w.bin"
    inside = b"N0" * 50_000 + b"N."
    path.write_bytes(b"\x80\x04\x95" + len(inside).to_bytes(8, "little") + inside)
    with pytest.raises(PickleError, match="too many instructions"):
        read_pickle_header(path, "w.bin")
