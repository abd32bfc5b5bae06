from __future__ import annotations

from pathlib import Path

import pytest

from trueup.config.home import trueup_home
from trueup.errors import ConfigError


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("relhome", Path.cwd() / "relhome"),
        ("~/x", Path.home() / "x"),
        ("", Path.home() / ".trueup"),
        ("/a/b", Path("/a/b")),
    ],
)
def test_the_home_is_absolute(monkeypatch: pytest.MonkeyPatch, named: str, found: Path) -> None:
    monkeypatch.setenv("TRUEUP_HOME", named)
    assert trueup_home() == found


def test_a_home_of_nobody_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUEUP_HOME", "~no-such-user-here")
    with pytest.raises(ConfigError, match="cannot be found"):
        trueup_home()
