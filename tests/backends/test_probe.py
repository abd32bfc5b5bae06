from __future__ import annotations

from typing import Any

import pytest

from tests.backends.replies import KNOWN, chunk, refusal, stream, whole
from trueup.backends.probe import Question, Reply, Seen, error_shape, error_text, judged, trouble_of
from trueup.backends.probe_errors import WRONG_REQUESTS, error_seen

ERRORS = [
    (b'{"error":{"message":"no such model","code":"x"}}', "OpenAI's", "no such model"),
    (b'{"error":"no such model"}', '{"error": "text"}', "no such model"),
    (b'{"error":{"code":3}}', '{"error": {\u2026}} without a message', '{"code":3}'),
    (b'{"detail":"no such model"}', '{"detail": \u2026}', "no such model"),
    (b'{"detail":[{"msg":"too few"}]}', '{"detail": [\u2026]} of pydantic', "too few"),
    (b'{"object":"error","message":"too long"}', '{"message": \u2026}', "too long"),
    (b"Internal Server Error\n", "plain text", "Internal Server Error"),
    (b"<html><title>502</title></html>", "an HTML page", "<html><title>502</title></html>"),
    (b"", "an empty body", "(no text)"),
    (b"null", "plain text", "null"),
    (b"[1]", "another JSON", "1"),
    (b"\xff\xfe", "plain text", "\ufffd\ufffd"),
    (b'{"error":{"message":"a\\u001b[31m\\nb"}}', "OpenAI's", "a [31m b"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "shape", "text"), ERRORS)
def test_every_shape_of_errors_is_told(body: bytes, shape: str, text: str) -> None:
    reply = refusal(400, body, "text/plain")
    assert error_shape(reply) == shape
    assert error_text(reply) == text


def test_a_long_error_is_cut() -> None:
    assert len(error_text(refusal(500, b"x" * 5000))) < 200


TROUBLES: list[tuple[Reply, Any]] = [
    (whole(), None),
    (stream(chunk("a")), None),
    (refusal(400, b'{"error":{"message":"no"}}'), ("rejected", "status 400: no")),
    (refusal(422, b'{"detail":"no"}'), ("rejected", "status 422: no")),
    (refusal(429, b"slow down"), ("fails", "status 429: slow down")),
    (refusal(401, b"key"), ("fails", "status 401: key")),
    (refusal(500, b"boom"), ("fails", "status 500: boom")),
    (
        refusal(502, b'{"error":{"message":"no JSON","code":"answer_rejected"}}'),
        ("honoured", "checked there: status 502: no JSON"),
    ),
    (refusal(200, b'{"error":"no"}'), ("fails", "status 200 and an error: no")),
    (refusal(200, b'{"object":"error","message":"no"}'), ("fails", "status 200 and an error: no")),
    (stream(chunk("a"), {"error": {"message": "no"}}), ("fails", "status 200 and an error: no")),
    (Reply(fault="no connection: refused"), ("fails", "no connection: refused")),
    (Reply(fault="no answer in 5 s", is_late=True), ("no answer", "no answer in 5 s")),
    (stream(chunk("a"), fault="it closed"), ("fails", "it closed")),
]


@pytest.mark.parametrize(("reply", "seen"), TROUBLES)
def test_what_is_no_answer_is_told_apart(reply: Reply, seen: tuple[str, str] | None) -> None:
    found = trouble_of(reply)
    assert (found and (found.verdict, found.text)) == seen


def test_the_first_reply_that_is_no_answer_decides() -> None:
    question = Question(
        group="g",
        name="q",
        bodies=lambda known: None,
        read=lambda replies, known: Seen(verdict="honoured", text=str(len(replies))),
    )
    assert judged(question, [whole(), whole()], KNOWN).text == "2"
    bad = refusal(400, b"no")
    assert judged(question, [whole(), bad], KNOWN).verdict == "rejected"


WRONG = [
    (refusal(404, b'{"error":{"message":"no"}}'), ("honoured", "status 404, OpenAI's: no")),
    (refusal(404, b'{"detail":"no"}'), ("unclear", 'status 404, {"detail": \u2026}: no')),
    (refusal(500, b"boom"), ("fails", "status 500, plain text: boom")),
    (whole(), ("ignored", "status 200 and an answer")),
    (refusal(200, b'{"error":"no"}'), ("fails", "status 200 and an error: no")),
    (stream(chunk("a"), fault="it closed"), ("fails", "it closed")),
    (Reply(status=200, fault="not whole", is_late=True), ("no answer", "not whole")),
    (Reply(fault="it closed"), ("fails", "it closed")),
    (Reply(fault="no answer in 5 s", is_late=True), ("no answer", "no answer in 5 s")),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "seen"), WRONG)
def test_answers_to_wrong_requests_are_judged(reply: Reply, seen: tuple[str, str]) -> None:
    found = error_seen(reply)
    assert (found.verdict, found.text) == seen


@pytest.mark.parametrize("kind", ["chat", "completion", "embedding"])
def test_wrong_requests_are_made_for_each_kind_that_they_fit(kind: Any) -> None:
    known = type(KNOWN)(model="m", kind=kind)
    for wrong in WRONG_REQUESTS:
        if kind in wrong.kinds:
            assert len(wrong.body(known)) < 500
