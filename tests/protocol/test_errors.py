from __future__ import annotations

import pytest

from trueup.errors import (
    AdaptError,
    BackendError,
    CapacityError,
    CheckpointError,
    ConfigError,
    RequestError,
    TrueUpError,
)
from trueup.protocol.errors import error_body, status_of


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (RequestError("x", param="n"), 400, "invalid_request_error", "invalid_value"),
        (RequestError("x", status=404, code="no_model"), 404, "not_found_error", "no_model"),
        (RequestError("x", status=418), 418, "invalid_request_error", "invalid_value"),
        (CapacityError("x"), 503, "overloaded_error", "capacity"),
        (CapacityError("x", status=429, code="full"), 429, "rate_limit_error", "full"),
        (BackendError("x", retryable=True), 502, "server_error", "backend_error"),
        (BackendError("x", retryable=True, status=503), 503, "overloaded_error", "backend_error"),
        (BackendError("x", retryable=False, status=503), 503, "server_error", "backend_error"),
        (AdaptError("x"), 503, "server_error", "model_cannot_run"),
        (CheckpointError("x"), 503, "server_error", "checkpoint_error"),
        (ConfigError("x"), 503, "server_error", "config_error"),
        (TrueUpError("x"), 500, "server_error", "internal_error"),
    ],
)
def test_every_kind_of_error_has_a_status_a_type_and_a_code(
    error: TrueUpError, status: int, kind: str, code: str
) -> None:
    shape = error_body(error)["error"]
    assert status_of(error) == status
    assert (shape["type"], shape["code"]) == (kind, code)


def test_the_body_says_cause_place_and_next_step() -> None:
    error = RequestError("`n` is `9`", param="n", where="body", hint="use 1")
    assert error_body(error, source="xin") == {
        "error": {
            "message": "`n` is `9`; use 1",
            "type": "invalid_request_error",
            "code": "invalid_value",
            "param": "n",
            "source": "xin",
            "where": "body",
            "hint": "use 1",
        }
    }
    assert error_body(TrueUpError("x"))["error"]["message"] == "x"
