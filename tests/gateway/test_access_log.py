"""What the log says of a request, and what no client can make it say."""

from __future__ import annotations

import asyncio
import io
import re
from dataclasses import replace
from datetime import datetime
from typing import Any, TextIO

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Turn, answer, chunk
from trueup.config.secret import Secret
from trueup.config.settings import ApiKey, ServerSettings
from trueup.errors import BackendError
from trueup.events import FixApplied, ModelStateChanged, ParameterDropped, RequestRefused, emit
from trueup.gateway.access_log import MAX_PROMPT_BYTES, AccessLog
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.router import Served
from trueup.gateway.serving import Serving

JSON = ServerSettings(access_log="json")
CHAT = {"model": "demo", "messages": [{"role": "user", "content": "SECRET"}], "stream": True}
KEY = {"authorization": "Bearer k"}
FIELDS = {
    *("time", "request_id", "key", "method", "path", "status", "outcome", "code", "model"),
    *("backend", "tries", "continuations", "dropped", "chunks", "prompt_tokens"),
    *("completion_tokens", "ms", "first_token_ms", "profile"),
}


async def logged(
    backend: FakeBackend,
    *arguments: Any,
    settings: ServerSettings = JSON,
    out: TextIO | None = None,
    **more: Any,
) -> str:
    serving = Serving(policy=RetryPolicy(first_pause_seconds=0))
    serving.router.open(Served(id="demo", kind="chat", backend=backend))
    written = io.StringIO()
    access = Access([ApiKey.of(Secret("k"), name="laptop")])
    gateway = Gateway(serving, access, log=out or written, settings=settings)
    client = FakeClient(*arguments, **more)
    with gateway.watching():
        await gateway(client.scope, client.receive, client.send)
    return written.getvalue()


async def test_a_line_of_json_tells_who_asked_what_and_how_it_went() -> None:
    said = await logged(FakeBackend(answer("a", "b")), body=CHAT, headers=KEY)
    assert said.count("\n") == 1
    line = orjson.loads(said)
    assert line.keys() == FIELDS
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None
    assert (line["method"], line["path"]) == ("POST", "/v1/chat/completions")
    assert (line["status"], line["outcome"], line["code"]) == (200, "answered", None)
    assert (line["key"], line["profile"]) == ("laptop", "strict")
    assert (line["model"], line["backend"], line["tries"]) == ("demo", "fake", 1)
    assert (line["chunks"], line["continuations"], line["dropped"]) == (3, 0, [])
    assert line["first_token_ms"] <= line["ms"]
    assert "SECRET" not in said


async def test_a_refused_request_has_a_line_too() -> None:
    line = orjson.loads(await logged(FakeBackend(), body=CHAT))
    assert (line["status"], line["outcome"], line["code"]) == (401, "failed", "invalid_api_key")
    assert (line["key"], line["model"], line["backend"]) == (None, None, None)


async def test_what_a_backend_was_not_told_is_in_the_line() -> None:
    async def drop() -> None:
        for parameter in ("seed", "seed", "stop"):
            emit(
                ParameterDropped(
                    at_seconds=0.0, request_id="mine", backend="fake", parameter=parameter
                )
            )

    backend = FakeBackend(answer("a"), before=[drop])
    headers = {**KEY, "x-request-id": "mine"}
    line = orjson.loads(await logged(backend, body=CHAT, headers=headers))
    assert line["dropped"] == ["seed", "stop"]
    text = await logged(backend, body=CHAT, headers=headers, settings=ServerSettings())
    assert " dropped=seed,stop " in text


async def test_two_requests_that_have_one_id_have_lines_of_their_own() -> None:
    first_is_asked, second_is_over = asyncio.Event(), asyncio.Event()

    async def asked() -> None:
        first_is_asked.set()

    waiting = Turn([asked, second_is_over.wait, *answer("a")])
    backend = FakeBackend(turns=[waiting, Turn(answer("b", "c"))])
    serving = Serving()
    serving.router.open(Served(id="demo", kind="chat", backend=backend))
    written = io.StringIO()
    gateway = Gateway(serving, Access(()), log=written, settings=JSON)
    headers = {"x-request-id": "same"}
    one, two = FakeClient(body=CHAT, headers=headers), FakeClient(body=CHAT, headers=headers)
    with gateway.watching():
        first = asyncio.create_task(gateway(one.scope, one.receive, one.send))
        await first_is_asked.wait()
        await asyncio.create_task(gateway(two.scope, two.receive, two.send))
        second_is_over.set()
        await first
    lines = [orjson.loads(line) for line in written.getvalue().splitlines()]
    assert [line["request_id"] for line in lines] == ["same", "same"]
    assert [line["backend"] for line in lines] == ["fake", "fake"]
    assert [line["tries"] for line in lines] == [1, 1]
    assert all(line["first_token_ms"] is not None for line in lines)


async def test_the_text_tells_of_tries_and_of_the_key() -> None:
    backend = FakeBackend(answer("a"), before=[BackendError("no", retryable=True)])
    said = await logged(backend, body=CHAT, headers=KEY, settings=ServerSettings())
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d POST /v1/chat/completions \d+ failed \d+ ms \S+ "
        r"code=\S+ model=demo backend=fake tries=\d+ key=laptop\n",
        said,
    ), said


FORGERIES = [
    'a\n{"outcome":"answered"}',
    "a\r\nb",
    "a\x1b[2Jb",
    "a\u2028b",
    "a\x9b2Jb",
    "a\U000e0041b",
    "a\x00b",
    "a\ud800b",
    "a" * 100_000,
    "a status=200 b",
]


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("form", ["text", "json"])
async def test_nothing_that_a_client_sends_breaks_a_line(forgery: str, form: Any) -> None:
    settings = replace(JSON, access_log=form, log_prompts=True)
    body = {"model": forgery.replace("\ud800", "?"), "messages": []}
    for arguments in (("GET", f"/v1/models/{forgery}"), ("POST", "/v1/chat/completions", body)):
        said = await logged(FakeBackend(), *arguments, headers=KEY, settings=settings)
        assert said.count("\n") == 1
        assert len(said) < 40_000
        line = said.removesuffix("\n")
        if form == "json":
            assert orjson.loads(line)["outcome"] == "failed"
            assert line.isprintable()
            assert line.encode("utf-8")
        else:
            assert line.isprintable()
            assert re.match(r"\d\d:\d\d:\d\d (GET|POST) \S+ 40[04] failed \d+ ms", line)


async def test_prompts_are_logged_when_that_is_asked_for_and_only_they() -> None:
    settings = replace(JSON, log_prompts=True)
    body = {**CHAT, "user": "somebody"}
    said = await logged(FakeBackend(answer("a")), body=body, headers=KEY, settings=settings)
    line = orjson.loads(said)
    assert line["prompt"] == {"messages": CHAT["messages"]}
    assert line["is_prompt_cut"] is False
    assert "somebody" not in said


async def test_prompts_in_text_stay_on_their_line() -> None:
    settings = ServerSettings(log_prompts=True)
    body = {**CHAT, "messages": [{"role": "user", "content": "one\ntwo\u2028three\x9b"}]}
    said = await logged(FakeBackend(answer("a")), body=body, headers=KEY, settings=settings)
    assert r'prompt={"messages":[{"role":"user","content":"one\ntwo?three?"}]}' in said
    assert len(said.splitlines()) == 1


async def test_a_long_prompt_is_cut() -> None:
    settings = replace(JSON, log_prompts=True)
    body = {**CHAT, "messages": [{"role": "user", "content": "我" * MAX_PROMPT_BYTES}]}
    said = await logged(FakeBackend(answer("a")), body=body, headers=KEY, settings=settings)
    line = orjson.loads(said)
    assert line["is_prompt_cut"] is True
    assert len(line["prompt"].encode()) <= MAX_PROMPT_BYTES
    assert line["prompt"].startswith('{"messages":[{"role":"user","content":"我我')


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/api/ps", "/api/streams"])
async def test_who_watches_is_not_logged(path: str) -> None:
    assert await logged(FakeBackend(), "GET", path, headers=KEY) == ""


async def test_a_log_that_is_off_says_nothing() -> None:
    settings = ServerSettings(access_log="off")
    assert await logged(FakeBackend(answer("a")), body=CHAT, headers=KEY, settings=settings) == ""


async def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("no space left")

    backend = FakeBackend([chunk("a"), chunk(finish="stop")])
    await logged(backend, body=CHAT, headers=KEY, out=Full())
    assert backend.closed_count == 1


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_was_no_request_has_a_line_too(form: Any) -> None:
    written = io.StringIO()
    log = AccessLog(written, form=form)
    log.note(RequestRefused(at_seconds=1.0, request_id="", status=431, code="bad_http"))
    log.note(RequestRefused(at_seconds=1.0, request_id="r1", status=401, code="invalid_api_key"))
    assert written.getvalue().count("\n") == 1, "a request has its line from its exchange"
    if form == "json":
        line = orjson.loads(written.getvalue())
        assert line.keys() == FIELDS
        assert (line["status"], line["outcome"], line["code"]) == (431, "failed", "bad_http")
    else:
        assert " - - 431 failed " in written.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_each_fix_of_a_model_has_a_line(form: Any) -> None:
    written = io.StringIO()
    log = AccessLog(written, form=form)
    log.note(FixApplied(at_seconds=1.0, model_id="a\nb", fix="post-init@1"))
    (said,) = written.getvalue().splitlines()
    if form == "json":
        line = orjson.loads(said)
        assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
        assert line == {"fix": "post-init@1", "model": "a\nb"}
    else:
        assert said.endswith(" fix post-init@1 applied model=a_b")


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_model_that_failed_has_a_line_and_one_that_left_has_none(form: Any) -> None:
    written = io.StringIO()
    log = AccessLog(written, form=form)
    for after, reason in (("stopped", "idle for 5 s"), ("failed", "ended by\nSIGKILL\u2028")):
        log.note(
            ModelStateChanged(
                at_seconds=1.0, model_id="a\nb", before="ready", after=after, reason=reason
            )
        )
    (said,) = written.getvalue().splitlines()
    if form == "json":
        line = orjson.loads(said)
        assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
        assert line == {"failed": "ended by SIGKILL", "model": "a\nb"}
    else:
        assert said.endswith(" failed model=a_b: ended by SIGKILL")
