"""The indexes that ship: what the catalogue of breakages says of versions is what they say."""

import pytest
from packaging.version import Version

from trueup.environment.packages import read_environment
from trueup.environment.symbols import shipped
from trueup.environment.symbols.facts import FunctionFacts, ModuleFacts
from trueup.environment.symbols.symbols import (
    Symbols,
    installed_symbols,
    shipped_symbols,
    versions,
)

LARGEST_BYTES = 1_500_000
CACHE = "transformers.cache_utils.DynamicCache"
LLAMA = "transformers.models.llama.modeling_llama"
MODEL = "transformers.PreTrainedModel"


def at(version: str, library: str = "transformers") -> Symbols:
    found = shipped_symbols(Version(version), library)
    assert found is not None
    assert found.is_exact
    return found


def function(symbols: Symbols, dotted: str) -> FunctionFacts:
    found = symbols.resolve(dotted)
    assert isinstance(found, FunctionFacts)
    return found


def test_the_indexes_are_small_enough_for_the_wheel() -> None:
    sizes = [shipped.path(library).stat().st_size for library in ("transformers", "torch")]
    assert sum(sizes) <= LARGEST_BYTES


def test_every_minor_release_is_indexed() -> None:
    minors = {version.release[:2] for version in versions()}
    assert {(4, minor) for minor in range(27, 58)} <= minors
    newest = max(minors)
    assert {(5, minor) for minor in range(newest[1] + 1)} <= minors
    assert Version("5.23.0") in versions()


@pytest.mark.parametrize("module", ["cache_utils", "modeling_utils", "generation.utils", "utils"])
def test_the_index_says_of_the_installed_version_what_its_source_says(module: str) -> None:
    installed = installed_symbols(read_environment())
    assert installed is not None
    own, kept = (
        symbols.module(f"transformers.{module}")
        for symbols in (installed, at(str(installed.version)))
    )
    assert isinstance(own, ModuleFacts)
    assert isinstance(kept, ModuleFacts)
    assert dict(own.exports) == dict(kept.exports)
    assert dict(own.functions) == dict(kept.functions)
    for name, owner in own.classes.items():
        assert owner.bases == kept.classes[name].bases
        assert owner.attributes == kept.classes[name].attributes
        assert dict(owner.methods) == dict(kept.classes[name].methods)
