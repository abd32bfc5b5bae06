"""Requests and what is answered: every row of the error table, access, the status routes."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Step, answer, chunk, forever, whole_answer
from trueup.backends.base import Health
from trueup.config.secret import Secret
from trueup.config.settings import ApiKey, ServerSettings
from trueup.errors import (
    AdaptError,
    BackendError,
    CapacityError,
    ConfigError,
    RequestError,
    TrueUpError,
)
from trueup.events import Event, FirstTokenSent, RequestFinished, RequestStarted, subscribe
from trueup.gateway import exchange
from trueup.gateway.app import ROUTES, Gateway
from trueup.gateway.asked import asked_of
from trueup.gateway.auth import Access, is_loopback
from trueup.gateway.retry import RetryPolicy
from trueup.gateway.router import Served
from trueup.gateway.serving import Serving
from trueup.protocol import fields

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
JSON = {"content-type": "application/json"}


def app(
    backend: FakeBackend | None = None,
    *,
    keys: tuple[str, ...] = (),
    log: io.StringIO | None = None,
    names: tuple[str, ...] = ("demo", "org/glm"),
) -> Gateway:
    serving = Serving(policy=RetryPolicy(first_pause_seconds=0))
    backend = backend or FakeBackend([whole_answer()], headers=JSON)
    rows = [Served(id=name, kind="chat", backend=backend, plan={"route": "x"}) for name in names]
    serving.router.open(*rows)
    return Gateway(serving, Access([ApiKey.of(Secret(key)) for key in keys]), log=log)


async def ask(gateway: Gateway, *arguments: Any, **more: Any) -> FakeClient:
    client = FakeClient(*arguments, **more)
    await gateway(client.scope, client.receive, client.send)
    assert client.status is None or client.is_ended
    return client


async def chat(gateway: Gateway, **changes: Any) -> FakeClient:
    return await ask(gateway, body={**CHAT, **changes}, headers=JSON)


# body, headers, status, code, param, what the message says
BAD_REQUESTS: dict[str, tuple[Any, dict[str, str], int, str, str | None, str]] = {
    "empty": (b"", JSON, 400, "invalid_json", None, "empty"),
    "no JSON": (b'{"a":\n 1,}', JSON, 400, "invalid_json", None, "line 2, column"),
    "no object": (b"[1]", JSON, 400, "invalid_json", None, "list"),
    "null": (b"null", JSON, 400, "invalid_json", None, "NoneType"),
    "not UTF-8": (b'{"a":"\xff"}', JSON, 400, "invalid_json", None, "0xff at offset 6"),
    "nested too deeply": (b"[" * 99999, JSON, 400, "invalid_json", None, "not JSON"),
    "a form": (
        b"a=1",
        {"content-type": "text/plain; x=y"},
        415,
        "unsupported_media_type",
        None,
        "text/plain",
    ),
    "stated too long": (
        b"{}",
        {**JSON, "content-length": "99999999"},
        413,
        "body_too_large",
        None,
        "longer",
    ),
    "no model": (
        {"messages": CHAT["messages"]},
        JSON,
        400,
        "missing_required_parameter",
        "model",
        "`model`",
    ),
    "no messages": (
        {"model": "demo"},
        JSON,
        400,
        "missing_required_parameter",
        "messages",
        "missing",
    ),
    "empty messages": ({**CHAT, "messages": []}, JSON, 400, "invalid_value", "messages", "[]"),
    "an unknown role": (
        {**CHAT, "messages": [{"role": "x", "content": ""}]},
        JSON,
        400,
        "invalid_value",
        "messages[0].role",
        "`user`",
    ),
    "negative max_tokens": (
        {**CHAT, "max_tokens": -1},
        JSON,
        400,
        "invalid_value",
        "max_tokens",
        "-1",
    ),
    "tools": (
        {**CHAT, "tools": [{"type": "function"}]},
        JSON,
        400,
        "unsupported_parameter",
        "tools",
        "`tools`",
    ),
    "an unknown parameter": (
        {**CHAT, "temprature": 1},
        JSON,
        400,
        "unknown_parameter",
        "temprature",
        "`temperature`",
    ),
    "the private key": (
        {**CHAT, "trueup": {"continue_token_ids": [1]}},
        JSON,
        400,
        "unknown_parameter",
        "trueup",
        "trueup",
    ),
    "an unknown model": (
        {**CHAT, "model": "glm"},
        JSON,
        404,
        "model_not_found",
        "model",
        "`org/glm`",
    ),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
async def test_a_bad_request_is_told_and_reaches_no_backend(case: str) -> None:
    body, headers, status, code, param, message = BAD_REQUESTS[case]
    backend = FakeBackend([whole_answer()], headers=JSON)
    gateway = app(backend)
    client = await ask(gateway, body=body, headers=headers)
    assert client.status == status
    error = client.json["error"]
    assert error.keys() == {"message", "type", "code", "param", "source", "where", "hint"}
    assert (error["code"], error["param"], error["source"]) == (code, param, "trueup")
    assert message in error["message"]
    assert error["type"] == {404: "not_found_error"}.get(status, "invalid_request_error")
    assert client.headers["x-request-id"]
    assert backend.open_count == 0
    assert (await chat(gateway)).status == 200


async def test_a_body_that_grows_too_long_is_refused() -> None:
    gateway = Gateway(Serving(), Access(()), settings=ServerSettings(max_body_bytes=50))
    client = await ask(gateway, body=b" " * 51)
    assert (client.status, client.json["error"]["code"]) == (413, "body_too_large")
    assert "`server.max_body_bytes`" in client.json["error"]["hint"]


async def test_a_body_in_chunks_that_is_there_at_once_has_its_bound_too() -> None:
    class AtOnce:
        """A connection on which the whole body came with the head."""

        def whole_body(self) -> bytes:
            return b"{" + b" " * 50

    client = FakeClient(body=b"")
    client.scope["extensions"] = {exchange.WIRE: AtOnce()}
    client.scope["headers"] = [each for each in client.scope["headers"] if b"length" not in each[0]]
    asked = exchange.Exchange(client.scope, client.receive, client.send, max_body_bytes=50)
    with pytest.raises(RequestError) as caught:
        await asked.read_json()
    assert (caught.value.status, caught.value.code) == (413, "body_too_large")


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_SECONDS", 0.01)
    client = FakeClient()

    async def receive() -> dict[str, Any]:
        await forever()
        raise AssertionError

    await app()(client.scope, receive, client.send)
    assert (client.status, client.json["error"]["code"]) == (408, "request_timeout")
    assert client.headers["connection"] == "close"


async def test_a_client_that_leaves_within_its_body_is_answered_nothing() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    client = FakeClient()
    await app()(client.scope, receive, client.send)
    assert client.status is None


FAILURES: list[tuple[TrueUpError, int, str | None]] = [
    (CapacityError("full", status=429, retry_after_seconds=1.5, code="queue_full"), 429, "2"),
    (CapacityError("does not fit", retry_after_seconds=10), 503, "10"),
    (BackendError("load failed", retryable=False, status=503, code="model_load_failed"), 503, "5"),
    (BackendError("load", retryable=False, status=503, retry_after_seconds=7), 503, "7"),
    (BackendError("broke off", retryable=True), 502, None),
    (AdaptError("cannot run"), 503, "5"),
    (ConfigError("wrong"), 503, "5"),
]


@pytest.mark.parametrize(("error", "status", "retry_after"), FAILURES)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_of_the_backend_has_its_status(
    error: TrueUpError, status: int, retry_after: str | None, stream: bool
) -> None:
    client = await chat(app(FakeBackend(before=[error])), stream=stream)
    assert client.status == status
    assert client.headers.get("retry-after") == retry_after
    assert client.headers["x-trueup-backend"] == "fake"
    assert client.json["error"]["source"] == "fake"
    assert client.json["error"]["message"].startswith(error.cause)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_bug_is_told_without_its_words(
    stream: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    client = await chat(app(FakeBackend(before=[ValueError("hush")])), stream=stream)
    assert client.status == 500
    assert client.json["error"]["code"] == "internal_error"
    assert "hush" not in client.body.decode()
    assert "ValueError: hush" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/chat/completion", "the nearest path is `/v1/chat/completions`"),
        ("/", "`/v1/models`"),
        ("//", "`/openapi.json`"),
    ],
)
async def test_an_unknown_path_is_told_with_the_nearest(path: str, hint: str) -> None:
    client = await ask(app(), "GET", path)
    assert client.status == 404
    assert hint in client.json["error"]["hint"]


@pytest.mark.parametrize("route", ROUTES)
async def test_methods_are_told(route: str) -> None:
    path = f"{route}demo" if route.endswith("/") else route
    wrong = await ask(app(), "PATCH", path)
    assert (wrong.status, wrong.json["error"]["code"]) == (405, "method_not_allowed")
    options = await ask(app(), "OPTIONS", path)
    assert (options.status, options.body) == (204, b"")
    assert options.headers["allow"] == wrong.headers["allow"]
    assert ("GET, HEAD" in wrong.headers["allow"]) == ("GET" in ROUTES[route])


async def test_a_whole_answer_is_sent_as_it_came_and_the_request_too() -> None:
    backend = FakeBackend([whole_answer()[:20], whole_answer()[20:]], headers=JSON)
    client = await ask(app(backend), body=orjson.dumps({**CHAT, "seed": 7}), headers=JSON)
    assert (client.status, client.body) == (200, whole_answer())
    assert client.headers["content-length"] == str(len(whole_answer()))
    assert backend.requests[0].body == orjson.dumps({**CHAT, "seed": 7})


@pytest.mark.parametrize("seed", [{}, {"seed": None}])
async def test_a_request_without_a_seed_gets_one(seed: dict[str, None]) -> None:
    backend = FakeBackend([whole_answer()], headers=JSON)
    await ask(app(backend), body=b" \n" + orjson.dumps({**CHAT, **seed}), headers=JSON)
    sent = orjson.loads(backend.requests[0].body)
    assert isinstance(sent.pop("seed"), int)
    assert sent == CHAT


def test_seeds_differ() -> None:
    assert (
        asked_of("/v1/chat/completions", b"", CHAT).seed
        != asked_of("/v1/chat/completions", b"", CHAT).seed
    )


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/v1/completions", {"prompt": ["a"] * 2049}, "prompt"),
        ("/v1/completions", {"prompt": [[1]] * 2049}, "prompt"),
        ("/v1/completions", {"prompt": ["a"] * 257, "n": 8}, "n"),
        ("/v1/embeddings", {"input": ["a"] * 2049}, "input"),
    ],
)
async def test_a_request_for_very_many_answers_is_refused(
    path: str, fields: dict[str, Any], param: str
) -> None:
    backend = FakeBackend([whole_answer()], headers=JSON, is_foreign=True)
    body = orjson.dumps({"model": "demo", **fields})
    client = await ask(app(backend), "POST", path, body=body, headers=JSON)
    assert (client.status, client.json["error"]["param"]) == (400, param)
    assert client.json["error"]["hint"]
    assert backend.open_count == 0


@pytest.mark.parametrize(
    ("prompt", "n", "choices"),
    [(["a"] * 2048, 1, 2048), (["a"] * 256, 8, 2048), ([1] * 5000, 1, 1), ("a", 2, 2)],
)
def test_as_many_answers_as_a_request_may_have_are_counted(
    prompt: Any, n: int, choices: int
) -> None:
    shape = {"model": "m", "prompt": prompt, "n": n}
    assert asked_of("/v1/completions", b"", shape).choices == choices


@pytest.mark.parametrize(
    ("sent", "is_kept"), [("my-id.1", True), ("a" * 129, False), ("a b", False), ("é", False)]
)
async def test_a_sane_request_id_is_kept(sent: str, is_kept: bool) -> None:
    client = await ask(app(), "GET", "/health", headers={"x-request-id": sent})
    assert (client.headers["x-request-id"] == sent) is is_kept


@pytest.mark.parametrize("given", ["Bearer one", "bearer two", "Bearer  two "])
async def test_each_key_opens(given: str) -> None:
    gateway = app(keys=("one", "two"))
    assert (await ask(gateway, "GET", "/v1/models", headers={"authorization": given})).status == 200


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer three", "Basic one", "one", "Bearer é"]
)
async def test_without_the_key_only_the_status_is_told(given: str | None) -> None:
    gateway = app(keys=("one", "two"))
    headers = {} if given is None else {"authorization": given}
    for path in ("/v1/models", "/api/ps", "/v1/chat/completions", "/nowhere"):
        client = await ask(gateway, "GET", path, headers=headers)
        assert (client.status, client.json["error"]["code"]) == (401, "invalid_api_key")
    assert (await ask(gateway, "GET", "/health", headers=headers)).status == 200


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"host": "localhost:8484"}, True),
        ({"host": "127.0.0.9"}, True),
        ({"host": "[::1]:8484"}, True),
        ({"host": "evil.example"}, False),
        ({"host": "127.0.0.1.evil.example"}, False),
        ({"host": "[::1"}, False),
        ({"origin": "http://localhost:3000"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
    ],
)
async def test_a_web_page_cannot_reach_a_port_without_a_key(
    headers: dict[str, str], passes: bool
) -> None:
    client = await ask(app(), "GET", "/v1/models", headers=headers)
    assert client.status == (200 if passes else 403)
    with_key = {**headers, "authorization": "Bearer k"}
    assert (await ask(app(keys=("k",)), "GET", "/v1/models", headers=with_key)).status == 200


def test_other_machines_are_served_only_with_a_key() -> None:
    Access(()).check_host("127.0.0.1")
    Access([ApiKey.of(Secret("k"))]).check_host("0.0.0.0")
    for host in ("0.0.0.0", "::", "192.168.1.1", "example.com", ""):
        assert not is_loopback(host)
        with pytest.raises(ConfigError, match="no key is set"):
            Access(()).check_host(host)


async def test_models_are_listed_with_state_and_plan() -> None:
    gateway = app(FakeBackend(health=Health(state="starting")))
    listed = (await ask(gateway, "GET", "/v1/models")).json
    assert [row["id"] for row in listed["data"]] == ["demo", "org/glm"]
    one = (await ask(gateway, "GET", "/v1/models/org/glm")).json
    assert one == listed["data"][1]
    assert one["trueup"] == {"kind": "chat", "state": "starting", "plan": {"route": "x"}}
    assert (await ask(gateway, "GET", "/v1/models/nothing")).status == 404


async def test_ready_tells_when_traffic_may_come() -> None:
    gateway = app()
    waiting = await ask(gateway, "GET", "/ready")
    assert (waiting.status, waiting.json["waits_for"]) == (503, "preload")
    gateway.serving.is_ready = True
    assert (await ask(gateway, "GET", "/ready")).status == 200


async def test_requests_wait_until_models_are_planned_and_learn_of_a_failure() -> None:
    serving = Serving()
    gateway = Gateway(serving, Access(()))
    client = FakeClient(body=CHAT)
    waiting = asyncio.create_task(gateway(client.scope, client.receive, client.send))
    assert (await ask(gateway, "GET", "/health")).status == 200
    assert (await ask(gateway, "GET", "/ready")).json["waits_for"] == "plans"
    serving.router.fail(AdaptError("no route remains"))
    await waiting
    assert (client.status, client.json["error"]["code"]) == (503, "model_cannot_run")


async def test_ps_tells_what_is_loaded() -> None:
    health = Health(state="ready", memory_bytes=123, pid=7, queued=2, leases=1)
    shape = (await ask(app(FakeBackend(health=health)), "GET", "/api/ps")).json
    first = shape["models"][0]
    assert (first["id"], first["memory_bytes"], first["pid"], first["queued"]) == (
        "demo",
        123,
        7,
        2,
    )


async def test_the_log_has_one_line_a_request_and_no_prompt() -> None:
    log = io.StringIO()
    gateway = app(FakeBackend(answer("a", "b")), log=log)
    await chat(gateway, stream=True, messages=[{"role": "user", "content": "SECRET"}])
    for path in ("/health", "/ready", "/api/ps"):
        await ask(gateway, "GET", path)
    await ask(gateway, "GET", "/v1/models/x\ny\x1b[2J")
    first, second = log.getvalue().splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d POST /v1/chat/completions 200 answered \d+ ms \S+ model=demo chunks=3",
        first,
    )
    assert "SECRET" not in log.getvalue()
    assert "\x1b" not in second
    assert second.endswith(" code=model_not_found")


@pytest.mark.parametrize(
    ("steps", "code"),
    [([], "worker_failed"), ([chunk("a")], "stream_incomplete")],
    ids=["before", "in the stream"],
)
async def test_the_log_tells_the_code_of_a_failure(steps: list[Step], code: str) -> None:
    log = io.StringIO()
    broken = BackendError("broken", retryable=True, code="worker_failed")
    await chat(app(FakeBackend([*steps, broken]), log=log), stream=True)
    assert f" code={code} model=demo" in log.getvalue()


async def test_a_backend_can_tell_clients_apart_and_not_read_their_keys() -> None:
    backend = FakeBackend(answer("a"))
    gateway = app(backend, keys=("one-key", "two-key"))
    for key in ("one-key", "two-key", "one-key"):
        headers = {**JSON, "authorization": f"Bearer {key}"}
        await ask(gateway, body={**CHAT, "stream": True}, headers=headers)
    first, second, third = (each.client for each in backend.requests)
    assert first == third != second
    assert "one-key" not in first


@pytest.mark.parametrize("name", ["responses", "audio/speech", "images/generations"])
async def test_openai_s_other_paths_are_said_to_be_unserved(name: str) -> None:
    client = await ask(app(), "POST", f"/v1/{name}")
    assert client.status == 404
    assert "not served by this version" in client.json["error"]["message"]
    assert "nearest" not in client.json["error"]["message"]


async def test_events_tell_the_life_of_a_request() -> None:
    events: list[Event] = []
    unsubscribe = subscribe(events.append)
    await chat(app(FakeBackend(answer("a"))), stream=True)
    await chat(app(FakeBackend(before=[BackendError("x", retryable=False)])))
    unsubscribe()
    kinds = [type(event) for event in events]
    assert kinds == [
        RequestStarted,
        FirstTokenSent,
        RequestFinished,
        RequestStarted,
        RequestFinished,
    ]
    done, failed = events[2], events[4]
    assert isinstance(done, RequestFinished)
    assert isinstance(failed, RequestFinished)
    assert (done.outcome, done.status, done.chunks) == ("answered", 200, 2)
    assert failed.outcome == "failed"


async def test_a_backends_name_of_any_letters_fits_a_header() -> None:
    client = await chat(app(FakeBackend([whole_answer()], headers=JSON, name="模型\n")))
    assert client.headers["x-trueup-backend"] == "%E6%A8%A1%E5%9E%8B%0A"


async def test_two_hundred_streams_at_once_all_end_well() -> None:
    backend = FakeBackend(
        [*answer(*"abcdef")[:3], lambda: asyncio.sleep(0), *answer(*"abcdef")[3:]]
    )
    gateway = app(backend)
    clients = await asyncio.gather(*(chat(gateway, stream=True) for _ in range(200)))
    assert {len(client.events) for client in clients} == {8}
    assert backend.open_count == backend.closed_count == 200


async def test_a_request_leaves_no_reader_behind() -> None:
    gateway = app()
    await chat(gateway)
    before = len(fields._SCHEMAS)
    for _ in range(3):
        await chat(gateway, n=1, stream=False)
    assert len(fields._SCHEMAS) == before
