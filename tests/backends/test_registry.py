from __future__ import annotations

import pytest

from trueup.backends.registry import open_backend
from trueup.config.settings import BackendSettings, LimitSettings
from trueup.errors import ConfigError


def test_the_preset_says_what_the_settings_do_not() -> None:
    backend = open_backend(BackendSettings(name="x", url="http://h", preset="xinference"))
    assert backend.capabilities.whole_by_stream
    assert backend.capabilities.recovery_seconds == 30.0
    assert backend.capabilities.limits.first_token_seconds == 60.0


@pytest.mark.parametrize(
    ("url", "asks_again"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://gpu-server:8000", True),
        ("http://models.lan/v1", True),
        ("http://192.168.1.5:9997", True),
        ("https://api.example.com/v1", False),
        ("http://8.8.8.8", False),
    ],
)
def test_a_server_on_the_internet_may_be_paid_for_and_is_not_asked_twice(
    url: str, asks_again: bool
) -> None:
    assert open_backend(BackendSettings(name="x", url=url)).capabilities.asks_again is asks_again
    allowed = BackendSettings(name="x", url=url, ask_again=True)
    assert open_backend(allowed).capabilities.asks_again


def test_openai_is_known_by_its_address() -> None:
    backend = open_backend(BackendSettings(name="x", url="https://api.openai.com/v1"))
    assert (backend.preset, backend.capabilities.asks_again) == ("openai", False)


def test_the_settings_win_over_the_preset() -> None:
    backend = open_backend(
        BackendSettings(
            name="x",
            url="http://h",
            preset="openai",
            ask_again=True,
            end_of_answer="done",
            continuation="prefix",
            context_tokens=5,
            drop=("logit_bias",),
            limits=LimitSettings(first_token_seconds=1.5),
        )
    )
    known = backend.capabilities
    assert (known.asks_again, known.end_of_answer) == (True, "done")
    assert (known.continuation, known.context_tokens) == ("prefix", 5)
    assert known.accepts.droppable == {"logit_bias"}
    assert (known.limits.first_token_seconds, known.limits.connect_seconds) == (1.5, 5.0)


def test_a_preset_that_nobody_knows_is_refused_with_the_nearest() -> None:
    settings = BackendSettings(name="x", url="http://h", preset="vlm", place="c.yaml:2: backends.x")
    with pytest.raises(ConfigError, match="`vlm`") as caught:
        open_backend(settings)
    assert caught.value.hint == "did you mean `vllm`?"
    assert caught.value.where == "c.yaml:2: backends.x"
