import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.version import Version

from scripts import build_symbols
from scripts.libraries import LIBRARIES
from tests.environment.symbols.library import COLLECTED, WRITTEN_OUT, environment_at
from trueup.environment.environment import Environment
from trueup.environment.symbols import index_file, shipped
from trueup.environment.symbols.facts import ClassFacts, FunctionFacts, ModuleFacts
from trueup.environment.symbols.index_file import (
    MAGIC,
    DamagedIndexError,
    SymbolIndex,
    build,
)
from trueup.environment.symbols.symbols import (
    Lifetime,
    Symbols,
    history,
    lifetime,
    shipped_symbols,
    symbols_of,
    versions,
)

LIBRARY = LIBRARIES["transformers"]
MODEL = "transformers.models.tiny.modeling_tiny.TinyModel"
RELEASES: dict[str, Mapping[str, str]] = {
    "4.40.0": WRITTEN_OUT,
    "4.40.1": WRITTEN_OUT | {"pytorch_utils.py": "def gone(a): ...\n"},
    "5.20.0": COLLECTED | {"broken.py": "def f(:"},
}


def write_wheel(folder: Path, version: str, files: Mapping[str, str]) -> None:
    with zipfile.ZipFile(folder / f"transformers-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(f"transformers/{name}"), text)
        archive.writestr("other/module.py", "x = 1\n")
        archive.writestr(f"transformers-{version}.dist-info/METADATA", "Name: transformers\n")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    for version, files in RELEASES.items():
        write_wheel(tmp_path, version, files)
    return tmp_path


@pytest.fixture
def index(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An index of three small releases in the place of the shipped one."""
    path = wheels / "transformers.symbols"
    path.write_bytes(build_symbols.make(wheels, LIBRARY, list(RELEASES)))
    monkeypatch.setattr(shipped, "path", lambda _: path)
    shipped.index_of.cache_clear()
    shipped._symbols.cache_clear()
    yield path
    shipped.index_of.cache_clear()
    shipped._symbols.cache_clear()


def at(version: str) -> Symbols:
    found = shipped_symbols(Version(version))
    assert found is not None
    return found


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("version", RELEASES)
def test_each_version_answers_as_its_own_source_does(version: str) -> None:
    symbols = at(version)
    found = symbols.resolve("transformers.TinyModel")
    assert isinstance(found, ClassFacts)
    assert found.dotted == MODEL
    assert [parameter.name for parameter in found.methods["__init__"].parameters] == [
        "self", "config", "cache",
    ]  # fmt: skip
    assert [owner.name for owner in symbols.mro(MODEL)] == ["TinyModel", "Base", "GenerationMixin"]
    assert symbols.has("transformers.old_utils") is (version == "5.20.0")
    assert symbols.has("transformers.TinyTokenizerFast") is (version == "5.20.0")
    assert symbols.has("transformers.pytorch_utils.gone") is (version == "4.40.1")


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("dotted", "is_there"),
    [
        ("transformers.models.tiny.convert_tiny", True),
        ("transformers.models.tiny.convert_tiny.anything", True),
        ("transformers.models.tiny.convert_other", False),
        ("transformers.broken", True),
        ("transformers.broken.anything", True),
    ],
)
def test_a_module_that_is_not_looked_into_is_there(dotted: str, is_there: bool) -> None:
    assert at("5.20.0").has(dotted) is is_there
    assert not at("4.40.0").has(dotted)


@pytest.mark.usefixtures("index")
def test_bodies_are_kept_where_remote_code_builds_on_them() -> None:
    base = at("5.20.0").resolve("transformers.Base")
    assert isinstance(base, ClassFacts)
    assert base.methods["__init__"].self_sets == ("config",)
    assert base.methods["device"].has_setter
    module = at("5.20.0").module("transformers.models.tiny.modeling_tiny")
    assert isinstance(module, ModuleFacts)
    assert not module.has_bodies


@pytest.mark.usefixtures("index")
def test_of_other_methods_of_a_model_only_the_name_is_known(wheels: Path) -> None:
    text = "class TinyModel:\n    def other(self, x): ...\n    def __init__(self, x): ...\n"
    write_wheel(wheels, "5.21.0", COLLECTED | {"models/tiny/modeling_tiny.py": text})
    path = wheels / "more.symbols"
    path.write_bytes(build_symbols.make(wheels, LIBRARY, ["5.20.0", "5.21.0"]))
    symbols = Symbols(
        "transformers", Version("5.21.0"), index_file.ShippedModules(SymbolIndex(path), 1)
    )
    for method, names in (("other", ["args", "kwargs"]), ("__init__", ["self", "x"])):
        found = symbols.resolve(f"{MODEL}.{method}")
        assert isinstance(found, FunctionFacts)
        assert [parameter.name for parameter in found.parameters] == names


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("4.39.9", None),
        ("4.40.0", "4.40.0"),
        ("4.40.1", "4.40.1"),
        ("4.57.6", "4.40.1"),
        ("5.20.0+cpu", "5.20.0"),
        ("5.20.0.dev0", "5.20.0"),
        ("5.19.9", "4.40.1"),
        ("5.20.0", "5.20.0"),
        ("6.0", "5.20.0"),
    ],
)
def test_a_version_that_is_not_indexed_gets_the_nearest_one(
    asked: str, answered: str | None
) -> None:
    found = shipped_symbols(Version(asked))
    assert (found and str(found.version)) == answered
    assert found is None or found.is_exact is (asked.partition("+")[0] == answered)


@pytest.mark.usefixtures("index")
def test_the_history_of_a_name_tells_where_it_came_and_went() -> None:
    assert [str(version) for version in versions()] == list(RELEASES)
    assert [is_there for _, is_there in history("transformers.pytorch_utils.gone")] == [
        False, True, False,
    ]  # fmt: skip
    assert [is_there for _, is_there in history(f"{MODEL}.generate")] == [True, True, True]
    assert lifetime("transformers.pytorch_utils.gone", Version("4.40.1")) == Lifetime(
        is_there=True, since=Version("4.40.1"), until=Version("5.20.0")
    )
    assert lifetime("transformers.pytorch_utils.gone", Version("5.21")) == Lifetime(
        is_there=False, since=Version("5.20.0"), until=None
    )
    assert lifetime(MODEL, Version("5.20.0")) == Lifetime(is_there=True, since=None, until=None)
    assert lifetime(MODEL, Version("4.0")) is None


@pytest.mark.usefixtures("index")
def test_an_environment_gets_its_own_source_and_an_assumed_one_the_index(tmp_path: Path) -> None:
    for name, text in (COLLECTED | {"only_here.py": ""}).items():
        path = tmp_path / "site" / "transformers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    own = symbols_of(environment_at(tmp_path / "site", "5.99.0"))
    assert own is not None
    assert own.has("transformers.only_here")
    assumed = symbols_of(
        Environment(
            python="python",
            python_version="3.11.0",
            packages={"transformers": "5.99.0"},
            is_assumed=True,
        )
    )
    assert assumed is not None
    assert not assumed.has("transformers.only_here")
    assert not assumed.is_exact


def test_what_is_equal_is_stored_once(wheels: Path) -> None:
    def size(*names: str) -> int:
        return len(build_symbols.make(wheels, LIBRARY, list(names)))

    for number in range(10):
        write_wheel(wheels, f"4.41.{number}", WRITTEN_OUT)
    one, many = size("4.41.0"), size(*(f"4.41.{number}" for number in range(10)))
    assert many < one + 100


def test_the_same_wheels_make_the_same_bytes(wheels: Path) -> None:
    first = build_symbols.make(wheels, LIBRARY, list(RELEASES))
    assert build_symbols.make(wheels, LIBRARY, list(RELEASES)) == first


def test_modules_are_found_in_whatever_block_they_are(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wheels / "x.symbols"
    found = []
    for size in (1, 300, 1_000_000):
        monkeypatch.setattr(index_file, "BLOCK_BYTES", size)
        path.write_bytes(build_symbols.make(wheels, LIBRARY, list(RELEASES)))
        index = SymbolIndex(path)
        names = index.names()
        found.append({name: [index.entries(name, place) for place in range(3)] for name in names})
        assert index.entries("a.module.before.all", 0) is None
        assert index.entries("zzz", 0) is None
    assert found[0] == found[1] == found[2]
    assert "transformers.modeling_utils" in found[0]


def test_a_check_tells_what_differs(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {version: list[str]() for version in RELEASES}
    monkeypatch.setattr(build_symbols, "read_versions", lambda _: listed)
    assert build_symbols.check(index.parent, LIBRARY) == []
    write_wheel(index.parent, "4.40.1", WRITTEN_OUT)
    listed["6.0"] = []
    assert build_symbols.check(index.parent, LIBRARY) == [
        "the versions are not those of the list",
        "4.40.1: transformers.pytorch_utils",
    ]


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 something else", MAGIC[:-3], MAGIC + b"\x01\x00\x00\x00\xff"]
)
def test_another_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.symbols"
    path.write_bytes(data)
    with pytest.raises(DamagedIndexError) as caught:
        SymbolIndex(path)
    assert caught.value.where == str(path)


def test_a_damaged_block_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "x.symbols"
    content = build("x", ["1.0"], [{"x.a": {"": b'["", [], null, [], {}]'}}])
    path.write_bytes(content[:-20] + bytes(20))
    index = SymbolIndex(path)
    with pytest.raises(DamagedIndexError) as caught:
        index.module("x.a")
    assert "pip install --force-reinstall" in str(caught.value.hint)


def test_an_index_of_another_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.symbols"
    path.write_bytes(build("x", ["1.0"], [{}]))
    monkeypatch.setattr(index_file, "FORMAT", 10_000)
    with pytest.raises(DamagedIndexError):
        SymbolIndex(path)
