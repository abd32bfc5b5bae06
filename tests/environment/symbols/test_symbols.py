import threading
from pathlib import Path

import pytest

from tests.environment.symbols.library import (
    COLLECTED,
    COMMON,
    WRITTEN_OUT,
    environment_at,
    symbols_of,
    write_library,
)
from trueup.config.home import trueup_home
from trueup.environment.environment import Environment
from trueup.environment.symbols import installed
from trueup.environment.symbols.codec import decode_module, encode_module
from trueup.environment.symbols.facts import ClassFacts, FunctionFacts, ModuleFacts, Value
from trueup.environment.symbols.lookup import merge
from trueup.environment.symbols.source import read_module
from trueup.environment.symbols.symbols import Symbols, installed_symbols


@pytest.fixture
def old(tmp_path: Path) -> Symbols:
    return symbols_of(tmp_path, WRITTEN_OUT)


@pytest.fixture
def new(tmp_path: Path) -> Symbols:
    return symbols_of(tmp_path, COLLECTED)


def name_of(found: object) -> str | None:
    if isinstance(found, ClassFacts):
        return found.dotted
    if isinstance(found, ModuleFacts):
        return found.name
    if isinstance(found, Value):
        return found.target or f"{found.module}:{found.name}"
    return found.name if isinstance(found, FunctionFacts) else None


TINY = "transformers.models.tiny.modeling_tiny.TinyModel"


@pytest.mark.parametrize(
    ("dotted", "expected"),
    [
        ("transformers", "transformers"),
        ("transformers.Base", "transformers.modeling_utils.Base"),
        ("transformers.TinyModel", TINY),
        ("transformers.models.tiny.TinyModel", TINY),
        (TINY, TINY),
        (f"{TINY}.forward", "forward"),
        (f"{TINY}.generate", "generate"),
        (f"{TINY}.main_input_name", "transformers.modeling_utils.Base:main_input_name"),
        (f"{TINY}.gone", None),
        ("transformers.logging", "transformers.utils.logging"),
        ("transformers.utils.logging", "transformers.utils.logging"),
        ("transformers.utils.logging.get_logger", "get_logger"),
        ("transformers.utils.shown", "shown"),
        ("transformers.utils.hidden", None),
        ("transformers.utils.generic.hidden", "hidden"),
        ("transformers.utils.X", "transformers.utils.import_utils:X"),
        ("transformers.modeling_utils.Mixin", "transformers.mixins.GenerationMixin"),
        ("transformers.modeling_utils.nn", "torch.nn"),
        ("transformers.modeling_utils.nn.Linear", "torch.nn.Linear"),
        ("transformers.OnlyForTypes", None),
        ("transformers.Dummy", None),
        ("transformers.TYPE_CHECKING", None),
        ("transformers.gone.deeper", None),
        ("transformers.__version__", "transformers:__version__"),
        ("torch.nn.Linear", "torch.nn.Linear"),
        ("transformers.models.tiny.../x", None),
    ],
)
def test_a_name_leads_to_what_it_stands_for(
    old: Symbols, dotted: str, expected: str | None
) -> None:
    assert name_of(old.resolve(dotted)) == expected


@pytest.mark.parametrize(
    ("dotted", "expected"),
    [
        ("transformers.TinyModel", TINY),
        ("transformers.models.tiny.TinyModel", TINY),
        ("transformers._Private", None),
        ("transformers.never", None),
        ("transformers.old_utils", "transformers.modeling_utils"),
        ("transformers.old_utils.Base", "transformers.modeling_utils.Base"),
        (
            "transformers.TinyTokenizerFast",
            "transformers.models.tiny.tokenization_tiny.TinyTokenizer",
        ),
        (
            "transformers.LikeTinyTokenizer",
            "transformers.models.tiny.tokenization_tiny.TinyTokenizer",
        ),
        ("transformers.LoneTokenizer", None),
        (
            "transformers.TinyImageProcessorFast",
            "transformers.models.tiny.image_processing_tiny.TinyImageProcessor",
        ),
        (
            "transformers.models.tiny.image_processing_tiny_fast",
            "transformers.models.tiny.image_processing_tiny",
        ),
        ("transformers.models.tiny.tokenization_tiny_fast", None),
    ],
)
def test_collected_tables_and_stand_ins_are_followed(
    new: Symbols, dotted: str, expected: str | None
) -> None:
    assert name_of(new.resolve(dotted)) == expected


def test_the_order_of_bases_is_that_of_python(old: Symbols) -> None:
    assert [owner.name for owner in old.mro(TINY)] == ["TinyModel", "Base", "GenerationMixin"]
    assert old.unknown_bases(TINY) == ("torch.nn.Module",)


def test_orders_are_merged_as_python_merges_them() -> None:
    class A: ...

    class B(A): ...

    class C(A): ...

    class D(B, C): ...

    lines = [["B", "A"], ["C", "A"], ["B", "C"]]
    assert ["D", *merge(lines)] == [owner.__name__ for owner in D.__mro__[:-1]]
    assert merge([["A", "B"], ["B", "A"]]) == ["A", "B"]


def test_a_member_is_told_with_the_class_that_gives_it(old: Symbols) -> None:
    found = old.member(TINY, "device")
    assert found is not None
    owner, value = found
    assert owner.name == "Base"
    assert isinstance(value, FunctionFacts)
    assert value.has_setter
    assert old.member(TINY, "config_class") == (owner, "None")
    assert old.member(TINY, "gone") is None


def test_what_is_only_declared_is_there_and_so_is_what_nobody_can_tell(tmp_path: Path) -> None:
    found = symbols_of(
        tmp_path,
        {
            "__init__.py": "",
            "a.py": "from typing import *\nclass Output:\n    logits: Any\n    loss: Any = None\n",
            "compiled.pyi": "def fast(x: int) -> int: ...\n",
        },
    )
    assert found.has("transformers.a.Output.logits")
    assert not found.has("transformers.a.Output.hidden")
    assert name_of(found.resolve("transformers.a.Deque")) == "typing.Deque"
    assert found.has("transformers.compiled.fast")
    assert not found.has("transformers.compiled.slow")


def test_the_names_of_a_module_have_those_of_its_stars(tmp_path: Path) -> None:
    found = symbols_of(
        tmp_path,
        {
            "__init__.py": "from .a import *\nfrom typing import *\nown = 1\n",
            "a.py": "from .b import *\nfrom . import *\nx = _hidden = 1\n",
            "b.py": "__all__ = ['_listed']\n_listed = unlisted = 1\n",
        },
    )
    assert found.names("transformers.a") == {"x", "_hidden", "_listed", "own"}
    assert found.names("transformers") == {"x", "own"}
    assert found.names("transformers.gone") == frozenset()


def test_classes_and_modules_that_lead_to_themselves_end(tmp_path: Path) -> None:
    found = symbols_of(
        tmp_path,
        {
            "__init__.py": "from .a import *\nfrom .a import X\n",
            "a.py": (
                "from .b import *\nfrom .b import X\n"
                "from .b import Q\nclass Loop(Loop): ...\nclass P(Q): ...\n"
            ),
            "b.py": "from .a import *\nfrom .a import X\nfrom .a import P\nclass Q(P): ...\n",
        },
    )
    assert found.resolve("transformers.X") is None
    assert found.resolve("transformers.Nothing") is None
    assert [owner.name for owner in found.mro("transformers.a.Loop")] == ["Loop"]
    assert {owner.name for owner in found.mro("transformers.a.P")} == {"P", "Q"}


def test_what_cannot_be_parsed_is_there_and_nobody_can_tell_what_it_has(tmp_path: Path) -> None:
    found = symbols_of(tmp_path, {**COMMON, "__init__.py": "", "broken.py": "def f(:"})
    broken = found.module("transformers.broken")
    assert broken is not None
    assert broken.is_opaque
    assert name_of(found.resolve("transformers.broken.f")) == "transformers.broken.f"
    assert found.resolve(TINY) is not None


def test_there_are_no_symbols_where_the_library_is_not_or_is_assumed(tmp_path: Path) -> None:
    nothing = Environment(python="python", python_version="3.11.0", packages={})
    assert installed_symbols(nothing) is None
    assumed = Environment(
        python="python", python_version="3.11.0", packages={"transformers": "5.0"}, is_assumed=True
    )
    assert installed_symbols(assumed) is None


def test_a_module_is_parsed_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = symbols_of(tmp_path, COLLECTED).resolve("transformers.TinyModel")
    monkeypatch.setattr(installed, "read_module", lambda *_, **__: pytest.fail("not kept"))
    again = installed_symbols(environment_at(tmp_path))
    assert again is not None
    found = again.resolve("transformers.TinyModel")
    assert isinstance(first, ClassFacts)
    assert isinstance(found, ClassFacts)
    assert dict(found.methods) == dict(first.methods)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    assert symbols_of(tmp_path, WRITTEN_OUT).resolve("transformers.modeling_utils.More") is None
    (tmp_path / "transformers" / "modeling_utils.py").write_text("class More: ...\n")
    again = installed_symbols(environment_at(tmp_path))
    assert again is not None
    assert again.resolve("transformers.modeling_utils.More") is not None


def test_a_model_that_is_added_is_exported(tmp_path: Path) -> None:
    assert symbols_of(tmp_path, COLLECTED).resolve("transformers.Added") is None
    write_library(
        tmp_path, {"models/added/modeling_added.py": "class Added: ...\n__all__ = ['Added']\n"}
    )
    again = installed_symbols(environment_at(tmp_path))
    assert again is not None
    assert again.resolve("transformers.Added") is not None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"stamp": 1}', b"\xff\xfe", None])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    symbols_of(tmp_path, COLLECTED).resolve("transformers.TinyModel")
    kept = sorted((trueup_home() / "cache" / "symbols").rglob("*.json"))
    mine = [path for path in kept if str(tmp_path).encode() in path.read_bytes()]
    assert mine
    for path in mine:
        text = path.read_bytes()
        path.write_bytes(text[: len(text) // 2] if damage is None else damage)
    again = installed_symbols(environment_at(tmp_path))
    assert again is not None
    assert name_of(again.resolve("transformers.TinyModel")) == TINY
    assert all(path.read_bytes().startswith(b'{"stamp":[') for path in mine)


def test_a_home_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "file"))
    assert name_of(symbols_of(tmp_path, WRITTEN_OUT).resolve("transformers.TinyModel")) == TINY


def test_readers_at_the_same_time_agree(tmp_path: Path) -> None:
    write_library(tmp_path, COLLECTED)
    found: list[str | None] = []

    def read() -> None:
        symbols = installed_symbols(environment_at(tmp_path))
        assert symbols is not None
        found.append(name_of(symbols.resolve("transformers.TinyModel")))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [TINY] * 8


@pytest.mark.parametrize("module", ["symbols", "source", "body", "codec", "installed"])
def test_facts_of_our_own_code_come_back_from_a_file_as_they_were(module: str) -> None:
    name = f"trueup.environment.symbols.{module}"
    path = Path(installed.__file__).with_name(f"{module}.py")
    facts = read_module(path.read_bytes(), name, is_package=False)
    assert facts is not None
    again = decode_module(name, encode_module(facts))
    assert again.exports == facts.exports
    assert dict(again.functions) == facts.functions
    assert {key: dict(owner.methods) for key, owner in again.classes.items()} == {
        key: dict(owner.methods) for key, owner in facts.classes.items()
    }
    assert [owner.bases for owner in again.classes.values()] == [
        owner.bases for owner in facts.classes.values()
    ]
