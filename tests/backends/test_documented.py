"""docs/backends.md says what the rows say."""

from __future__ import annotations

from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from trueup.backends.presets import ROWS, Preset
from trueup.backends.probe import Verdict
from trueup.gateway.lessons import KEEP_SECONDS

TEXT = (Path(__file__).parents[2] / "docs" / "backends.md").read_text(encoding="utf-8")


def row_of(preset: Preset) -> str:
    parts = urlsplit(preset.url or "")
    port = parts.port or {"https": 443}.get(parts.scheme, "-")
    stated = preset.capabilities
    goes_on = "no" if stated.continuation == "none" else stated.continuation
    again = "yes" if stated.asks_again else "only with `ask_again: true`"
    return f"| `{preset.name}` | {preset.title} | {port} | {goes_on} | {again} |"


def test_the_table_of_presets_is_that_of_the_rows() -> None:
    found = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert found == [row_of(preset) for preset in ROWS]


def test_every_verdict_is_explained() -> None:
    for verdict in get_args(Verdict):
        assert f"\n| {verdict} | " in TEXT


def test_lessons_are_kept_as_long_as_the_page_says() -> None:
    assert KEEP_SECONDS == 7 * 24 * 3600
    assert "for seven days" in TEXT
