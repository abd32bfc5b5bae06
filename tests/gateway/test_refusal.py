"""Errors of other servers in shapes that nobody hoped for: bounded, plain, never a failure."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.errors import BackendError, CapacityError, TrueUpError
from trueup.gateway.refusal import (
    MAX_MESSAGE_CHARACTERS,
    MAX_RETRY_AFTER_SECONDS,
    refusal,
    retry_after_seconds,
)
from trueup.protocol.errors import code_of, error_body

PAGE = "<!DOCTYPE html>\n<html><head><title>502 Bad\n Gateway</title></head><body>x</body></html>"


def error_of(body: bytes, status: int = 400, media: str = "application/json") -> Any:
    return refusal(status, {"content-type": media}, body)


@pytest.mark.parametrize("opening", ['{"error":', '{"detail":[', "[", '{"errors":{"a":'])
@pytest.mark.parametrize("depth", [1, 5, 100, 500, 1500])
def test_wrappers_in_wrappers_are_opened_and_come_to_an_end(opening: str, depth: int) -> None:
    closing = opening.translate(str.maketrans("{[", "}]", '":acdeilorst'))[::-1]
    body = (opening * depth + '"words"' + closing * depth).encode()
    error = error_of(body)
    assert "words" in error.cause or depth > 5
    assert 0 < len(error.cause) <= MAX_MESSAGE_CHARACTERS + 1


def test_the_code_and_the_parameter_are_those_of_the_innermost() -> None:
    inner = {"message": "words", "code": "unknown_parameter", "param": "seed"}
    for shape in (inner, {"error": inner}, {"detail": {"error": inner}}, {"message": inner}):
        error = error_of(orjson.dumps(shape))
        assert (error.cause, error.code, error.param) == ("words", "unknown_parameter", "seed")


@pytest.mark.parametrize(
    "body",
    [PAGE.encode(), orjson.dumps({"error": f"upstream: {PAGE}"}), orjson.dumps({"detail": PAGE})],
)
def test_a_web_page_is_told_by_its_title_wherever_it_is(body: bytes) -> None:
    cause = error_of(body, 502).cause
    assert "a web page, `502 Bad Gateway`" in cause
    assert "<" not in cause


def test_a_title_is_bounded() -> None:
    assert len(error_of(f"<html><title>{'x' * 9999}</title>".encode()).cause) < 300


def test_what_a_terminal_would_obey_is_not_passed_on() -> None:
    cause = error_of(b"\x1b[31mred\x07\n\tnext \xc2\x9b2J", media="text/plain").cause
    assert cause == "\ufffd[31mred\ufffd\n\tnext \ufffd2J"


@pytest.mark.parametrize("code", ["a b", "x" * 65, "a\nb", "", 400, None, {}])
def test_a_code_that_is_no_name_is_none(code: Any) -> None:
    error = error_of(orjson.dumps({"error": {"message": "x", "code": code}}))
    assert code_of(error) == "backend_error"


def test_a_byte_order_mark_hides_nothing() -> None:
    assert error_of(b'\xef\xbb\xbf{"error":{"message":"words"}}').cause == "words"


@pytest.mark.parametrize(
    "header", ["9" * 400, "99999999", "Wed, 21 Oct 9999 07:28:00 GMT", "Wed, 21 Oct 1999 07:28:00"]
)
def test_waiting_has_an_end(header: str) -> None:
    seconds = retry_after_seconds(header)
    assert seconds is not None
    assert 0 <= seconds <= MAX_RETRY_AFTER_SECONDS
    error = refusal(429, {"retry-after": header}, b"{}")
    assert isinstance(error, CapacityError)
    assert error.retry_after_seconds == pytest.approx(seconds, abs=60)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "detail", "message", "msg", "loc", "type", "errors", "code"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)
STATUSES = st.sampled_from([100, 204, 302, 400, 401, 408, 422, 429, 500, 502, 503, 529, 600, 999])


@given(STATUSES, JSON.map(orjson.dumps) | st.binary(max_size=40), st.text(max_size=30))
def test_no_error_is_too_odd(status: int, body: bytes, header: str) -> None:
    error = refusal(status, {"content-type": header, "retry-after": header}, body)
    assert isinstance(error, TrueUpError)
    assert error.cause
    assert orjson.dumps(error_body(error))


def test_an_answer_that_a_trueup_behind_this_one_rejected_is_not_asked_for_again() -> None:
    body = b'{"error": {"message": "the answer is not JSON", "code": "answer_rejected"}}'
    error = refusal(502, {}, body)
    assert isinstance(error, BackendError)
    assert not error.retryable
