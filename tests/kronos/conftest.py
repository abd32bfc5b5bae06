"""The loopback hub as the tests of the hub have it, and the public way to load from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from tests.checkpoint.hub.conftest import cache, hub, is_impatient
from tests.hub_server import HubServer

__all__ = ["cache", "hub", "is_impatient", "public_load"]

Load = Callable[..., Exception | None]


@pytest.fixture
def public_load(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a public class as users do; returns what that raises.

    huggingface_hub reads its address and cache at import, and waits between its tries.
    """
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda _: None))

    def load(kind: Any, source: Any, **options: Any) -> Exception | None:
        try:
            kind.from_pretrained(source, cache_dir=tmp_path / "public-cache", **options)
        except Exception as error:
            return error
        return None

    return load
