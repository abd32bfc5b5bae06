from __future__ import annotations

import pytest

from trueup.backends.http import Address
from trueup.backends.presets import PRESETS, ROWS
from trueup.config.presets import DEFAULT_PRESET, PRESET_NAMES
from trueup.config.settings import BackendSettings


def test_the_configuration_knows_the_same_names() -> None:
    assert tuple(PRESETS) == PRESET_NAMES
    assert len(ROWS) == len(PRESETS)
    assert BackendSettings(name="x", url="http://h").preset == DEFAULT_PRESET


@pytest.mark.parametrize("preset", ROWS, ids=lambda each: each.name)
def test_a_row_can_be_used(preset: object) -> None:
    row = PRESETS[preset.name]  # type: ignore[attr-defined]
    assert row.title
    assert row.url is None or str(Address(row.url)) == row.url
    accepts = row.capabilities.accepts
    assert not accepts.unsupported & accepts.ignored
    # What may never be dropped is asked of every server.
    assert not {"model", "messages", "max_tokens"} & (accepts.unsupported | accepts.ignored)
    assert not row.capabilities.accepts.droppable


def test_servers_that_cost_money_are_not_asked_again_unless_somebody_says_so() -> None:
    costly = {name for name, row in PRESETS.items() if not row.capabilities.asks_again}
    assert costly == {"openai", "litellm"}
