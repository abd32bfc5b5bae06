from __future__ import annotations

import pytest

from trueup.config.ssh_address import split_address
from trueup.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("gpu.example", (None, "gpu.example", None)),
        (" me@gpu.example:2222 ", ("me", "gpu.example", 2222)),
        ("me@work@gpu:", ("me@work", "gpu", None)),
        ("::1", (None, "::1", None)),
        ("[::1]", (None, "::1", None)),
        ("me@[fe80::1]:22", ("me", "fe80::1", 22)),
    ],
)
def test_an_address_is_taken_apart(text: str, found: tuple[str | None, str, int | None]) -> None:
    assert split_address(text, "here") == found


@pytest.mark.parametrize(
    ("text", "told"),
    [("gpu:ssh", "`gpu:ssh` names no port"), ("me@", "`me@` names no host"), ("", "no host")],
)
def test_what_is_none_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        split_address(text, "proxy_jump")
    assert caught.value.where == "proxy_jump"
