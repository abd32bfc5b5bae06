"""A hub on this machine, a cache of its own, and the real client between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, utils

from tests.hub_server import HubServer

# The clients of transformers 4 have it under another name.
forget_sessions = getattr(utils, "close_session", None) or utils.reset_sessions
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    return tmp_path / "hub"


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    for name in (*VARIABLES, "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("trueup.checkpoint.hub.download.FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr("trueup.checkpoint.hub.work.FIRST_WAIT_SECONDS", 0.001)
    with HubServer().running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        try:
            yield server
        finally:
            server.released.set()
            for thread in threading.enumerate():
                if thread.name.startswith("hub-"):  # nobody waits for them any more
                    thread.join()
            forget_sessions()


@pytest.fixture
def is_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the client wait for an answer for a moment only."""
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setattr(constants, name, 0.2)
