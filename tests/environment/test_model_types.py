from __future__ import annotations

from importlib import metadata

import pytest
from packaging.version import Version

from trueup.environment.causal_models import CAUSAL_CLASSES
from trueup.environment.model_types import absence, presence
from trueup.environment.packages import read_environment


def test_the_index_says_of_the_installed_release_what_its_files_say() -> None:
    version = Version(metadata.version("transformers"))
    installed = {name: each for name, each in read_environment().library_models.items() if each}
    for name, implementation in installed.items():
        assert presence(name, version, [implementation]) == "yes", name
        assert CAUSAL_CLASSES.get(name, implementation) == implementation
    has = {name for name in CAUSAL_CLASSES if presence(name, version) == "yes"}
    assert has <= set(installed)


@pytest.mark.parametrize(
    ("model_type", "version", "expected"),
    [
        ("qwen2", "4.55.4", "yes"),
        ("qwen2", "4.57.1", "yes"),
        ("qwen2", "4.36.2", "no"),
        ("qwen2", "99.0.0", "unknown"),
        ("qwen2", "3.0.0", "unknown"),
        ("qwen3_next", "4.56.0", "no"),
        ("qwen3_next", "4.57.0", "yes"),
        ("open-llama", "4.57.6", "yes"),
        ("open-llama", "5.23.0", "no"),
        ("wav2vec2", "4.41.2", "yes"),
        ("internlm3", "5.0.0", "no"),
        ("of-nobody", "5.1.0", "no"),
        ("no name/", "5.1.0", "no"),
        (None, "5.1.0", "no"),
    ],
)
def test_the_index_tells_which_releases_have_a_type(
    model_type: str | None, version: str, expected: str
) -> None:
    assert presence(model_type, Version(version)) == expected


def test_what_a_release_lacks_is_told_with_the_releases_that_have_it() -> None:
    found = absence("qwen3", ["Qwen3ForCausalLM"], Version("4.49.0"))
    assert found is not None
    assert found[0] == "transformers.Qwen3ForCausalLM"
    assert (found[1].since, str(found[1].until)) == (None, "4.51.0")
    gone = absence("open-llama", [], Version("5.23.0"))
    assert gone is not None
    assert (str(gone[1].since), gone[1].until) == ("5.0.0", None)
    assert absence("qwen3", ["Qwen3ForCausalLM"], Version("4.51.3")) is None
    assert absence("of-nobody", ["Nothing"], Version("4.51.3")) is None
