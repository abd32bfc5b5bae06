from __future__ import annotations

from importlib import metadata

import pytest
from packaging.version import Version

from trueup.adapt.first_release import IMPLEMENTATIONS, presence
from trueup.environment.packages import read_environment


def test_the_table_says_of_the_installed_release_what_its_files_say() -> None:
    version = Version(metadata.version("transformers"))
    installed = {name: each for name, each in read_environment().library_models.items() if each}
    for name, implementation in installed.items():
        assert presence(name, version) != "no"
        assert IMPLEMENTATIONS.get(name, implementation) == implementation
    has = {name for name in IMPLEMENTATIONS if presence(name, version) == "yes"}
    assert has <= set(installed)


@pytest.mark.parametrize(
    ("model_type", "version", "expected"),
    [
        ("qwen2", "4.56.0", "yes"),
        ("qwen2", "4.57.1", "yes"),
        ("qwen2", "4.55.4", "unknown"),
        ("qwen2", "5.24.0", "unknown"),
        ("qwen3_next", "4.56.0", "no"),
        ("qwen3_next", "4.57.0", "unknown"),
        ("qwen3_next", "4.57.6", "yes"),
        ("open-llama", "4.57.6", "yes"),
        ("open-llama", "5.1.0", "unknown"),
        ("open-llama", "5.23.0", "no"),
        (None, "5.1.0", "no"),
    ],
)
def test_a_release_between_two_read_ones_is_known_where_they_agree(
    model_type: str | None, version: str, expected: str
) -> None:
    assert presence(model_type, Version(version)) == expected
