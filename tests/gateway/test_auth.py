"""Who is let in, as whom, and what a page in a browser cannot do."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from tests.fakes import FakeClient
from trueup.config.secret import Secret
from trueup.config.settings import PROFILES, ApiKey, ClientProfile, ServerSettings
from trueup.errors import ConfigError
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.exchange import Exchange
from trueup.gateway.serving import Serving

PATIENT = ClientProfile(name="patient", patience_seconds=300.0)
KEYS = (
    ApiKey.of(Secret("one"), name="laptop"),
    ApiKey.of(Secret("two"), name="chat", profile="langchain-chatchat"),
)
BOARD = "https://board.example"


def exchange(headers: dict[str, str], path: str = "/v1/models") -> Exchange:
    client = FakeClient("GET", path, headers=headers)
    return Exchange(client.scope, client.receive, client.send)


async def ask(access: Access, *arguments: Any, **more: Any) -> FakeClient:
    serving = Serving()
    serving.router.open()
    client = FakeClient(*arguments, **more)
    await Gateway(serving, access)(client.scope, client.receive, client.send)
    return client


def test_a_key_is_kept_as_its_hash_alone_and_names_who_asks() -> None:
    assert KEYS[0].sha256 == hashlib.sha256(b"one").digest()
    assert "sha256" not in repr(KEYS[0])
    asked = exchange({"authorization": "Bearer two"})
    Access(KEYS).check(asked)
    assert (asked.key_name, asked.profile.name) == ("chat", "langchain-chatchat")


def test_the_hash_of_a_key_does_not_open() -> None:
    for given in (KEYS[0].sha256.hex(), "", "onetwo"):
        with pytest.raises(Exception, match="API key"):
            Access(KEYS).check(exchange({"authorization": f"Bearer {given}"}))


@pytest.mark.parametrize("keys", [(), KEYS])
def test_a_header_names_a_profile_and_beats_the_key(keys: tuple[ApiKey, ...]) -> None:
    asked = exchange({"authorization": "Bearer two", "x-trueup-profile": "patient"})
    Access(keys, {"patient": PATIENT}).check(asked)
    assert asked.profile == PATIENT


def test_without_a_word_the_profile_is_strict() -> None:
    asked = exchange({})
    Access(()).check(asked)
    assert (asked.profile, asked.key_name, asked.is_strict) == (PROFILES["strict"], None, False)


async def test_an_unknown_profile_is_refused_with_those_that_exist() -> None:
    client = await ask(
        Access((), {"patient": PATIENT}),
        "GET",
        "/v1/models",
        headers={"x-trueup-profile": "langchain"},
    )
    assert (client.status, client.json["error"]["code"]) == (400, "unknown_profile")
    for name in ("`langchain-chatchat`", "`patient`", "`strict`"):
        assert name in client.json["error"]["message"]


def test_a_key_with_an_unknown_profile_is_the_operators_mistake() -> None:
    with pytest.raises(ConfigError, match="`chat` has the profile `nope`"):
        Access([ApiKey.of(Secret("k"), name="chat", profile="nope")])


@pytest.mark.parametrize(
    ("server", "header", "is_strict"),
    [
        (False, None, False),
        (False, "true", True),
        (False, "True", True),
        (False, "false", False),
        (True, None, True),
        (True, "false", True),
    ],
)
def test_strictness_is_asked_for_by_the_server_or_the_client(
    server: bool, header: str | None, is_strict: bool
) -> None:
    asked = exchange({} if header is None else {"x-trueup-strict": header})
    Access((), is_strict=server).check(asked)
    assert asked.is_strict is is_strict


async def test_a_strictness_that_is_no_boolean_is_refused() -> None:
    client = await ask(Access(()), "GET", "/v1/models", headers={"x-trueup-strict": "yes"})
    assert client.status == 400
    assert "`X-TrueUp-Strict` is `yes`" in client.json["error"]["message"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8484",
        "localhost.:1",
        "127.0.0.1",
        "127.8.9.10:65535",
        "[::1]",
        "[::1]:8484",
        "[0:0:0:0:0:0:0:1]:1",
    ],
)
def test_a_host_that_is_this_machine_passes(host: str) -> None:
    Access(()).check(exchange({"host": host}))


FOREIGN_HOSTS = [
    "",
    "evil.example",
    "127.0.0.1.evil.com",
    "localhost.evil.com",
    "evil.com:127.0.0.1",
    "127.0.0.1@evil.com",
    "evil.com@127.0.0.1",
    "evil.com#@127.0.0.1",
    "evil.com/127.0.0.1",
    "evil.com\\@127.0.0.1",
    "127.0.0.1, evil.com",
    "127.0.0.1 evil.com",
    "0.0.0.0",
    "127.1",
    "2130706433",
    "0x7f.1",
    "[::1",
    "::1",
    "[::1]evil.com",
    "[::ffff:8.8.8.8]",
    "[::1%eth0]",
    "127.0.0.1:80:80",
    "127.0.0.1:x",
    "localhost..evil",
    "１２７.0.0.1".encode().decode("latin-1"),
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_a_host_that_is_not_this_machine_is_refused_without_keys(host: str) -> None:
    client = await ask(Access(()), "GET", "/v1/models", headers={"host": host})
    assert (client.status, client.json["error"]["code"]) == (403, "forbidden_origin")
    with_key = {"host": host, "authorization": "Bearer one"}
    assert (await ask(Access(KEYS), "GET", "/v1/models", headers=with_key)).status == 200


def test_every_host_that_is_stated_counts() -> None:
    client = FakeClient("GET", "/v1/models")
    client.scope["headers"].append((b"host", b"evil.example"))
    asked = Exchange(client.scope, client.receive, client.send)
    with pytest.raises(Exception, match=r"evil\.example"):
        Access(()).check(asked)


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"origin": "http://localhost:3000"}, True),
        ({"origin": "http://[::1]:3000"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://127.0.0.1.evil.com"}, False),
        ({"origin": "http://127.0.0.1@evil.com"}, False),
        ({"origin": "http://evil.com#@127.0.0.1"}, False),
        ({"origin": "http://127.0.0.1/x"}, False),
        ({"origin": "file://"}, False),
        ({"origin": "chrome-extension://localhost"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost:3000"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
    ],
)
async def test_a_page_of_another_site_is_refused_without_keys(
    headers: dict[str, str], passes: bool
) -> None:
    client = await ask(Access(()), "GET", "/v1/models", headers=headers)
    assert client.status == (200 if passes else 403)


@pytest.mark.parametrize("path", ["/health", "/ready", "/version", "/metrics", "/openapi.json"])
async def test_no_path_is_open_to_pages_without_keys(path: str) -> None:
    client = await ask(Access(()), "GET", path, headers={"host": "evil.example"})
    assert client.status == 403


@pytest.mark.parametrize("keys", [(), KEYS])
@pytest.mark.parametrize(
    "stated",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
async def test_a_body_that_is_not_said_to_be_json_is_refused(
    stated: str | None, keys: tuple[ApiKey, ...]
) -> None:
    headers = {"authorization": "Bearer one"}
    client = FakeClient(body={"model": "demo"}, headers=headers)
    client.scope["headers"] = [each for each in client.scope["headers"] if b"type" not in each[0]]
    if stated is not None:
        client.scope["headers"].append((b"content-type", stated.encode()))
    await Gateway(Serving(), Access(keys))(client.scope, client.receive, client.send)
    assert (client.status, client.json["error"]["code"]) == (415, "unsupported_media_type")


async def test_pages_get_no_headers_unless_their_origin_is_named() -> None:
    for access in (Access(KEYS), Access(KEYS, cors_origins=["https://other.example"])):
        headers = {"origin": BOARD, "authorization": "Bearer one"}
        plain = await ask(access, "GET", "/v1/models", headers=headers)
        asked = {"origin": BOARD, "access-control-request-method": "POST"}
        preflight = await ask(access, "OPTIONS", "/v1/chat/completions", headers=asked)
        for client in (plain, preflight):
            assert not any(name.startswith("access-control") for name in client.headers)
        assert preflight.status == 403
        assert "`server.cors_origins`" in preflight.json["error"]["message"]


@pytest.mark.parametrize("keys", [(), KEYS])
async def test_a_page_of_a_named_origin_may_ask_and_read(keys: tuple[ApiKey, ...]) -> None:
    access = Access(keys, cors_origins=[f"{BOARD}/"])
    asked = {
        "origin": BOARD,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
        "access-control-request-private-network": "true",
    }
    preflight = await ask(access, "OPTIONS", "/v1/chat/completions", headers=asked)
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == BOARD
    assert "x-stainless-os" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-private-network"] == "true"
    assert preflight.headers["vary"] == "Origin"
    headers = {"origin": BOARD, "authorization": "Bearer one", "sec-fetch-site": "cross-site"}
    read = await ask(access, "GET", "/v1/models", headers=headers)
    assert (read.status, read.headers["access-control-allow-origin"]) == (200, BOARD)
    assert "X-Request-Id" in read.headers["access-control-expose-headers"]


async def test_a_page_of_a_named_origin_reads_errors_too() -> None:
    access = Access(KEYS, cors_origins=[BOARD])
    client = await ask(access, "GET", "/v1/models", headers={"origin": BOARD})
    assert (client.status, client.headers["access-control-allow-origin"]) == (401, BOARD)


async def test_a_named_origin_does_not_open_another_host() -> None:
    access = Access((), cors_origins=[BOARD])
    headers = {"origin": BOARD, "host": "evil.example"}
    assert (await ask(access, "GET", "/v1/models", headers=headers)).status == 403


async def test_odd_names_of_headers_are_not_granted() -> None:
    asked = {
        "origin": BOARD,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x" * 5000,
    }
    client = await ask(Access(KEYS, cors_origins=[BOARD]), "OPTIONS", "/v1/models", headers=asked)
    assert client.status == 204
    assert "access-control-allow-headers" not in client.headers


def test_all_pages_may_not_ask_a_server_without_keys() -> None:
    with pytest.raises(ConfigError, match="every site"):
        Access((), cors_origins=["*"]).check_host("127.0.0.1")
    Access(KEYS, cors_origins=["*"]).check_host("0.0.0.0")


async def test_more_requests_than_the_limit_are_told_to_wait() -> None:
    serving = Serving()
    gateway = Gateway(serving, Access(()), settings=ServerSettings(max_requests=1))
    first = FakeClient("GET", "/v1/models")
    waiting = asyncio.create_task(gateway(first.scope, first.receive, first.send))
    await asyncio.sleep(0)
    second = FakeClient("GET", "/v1/models")
    await gateway(second.scope, second.receive, second.send)
    assert (second.status, second.json["error"]["code"]) == (429, "too_many_requests")
    assert int(second.headers["retry-after"]) >= 1
    health = FakeClient("GET", "/health")
    await gateway(health.scope, health.receive, health.send)
    assert health.status == 200
    serving.router.open()
    await waiting
    assert first.status == 200
    third = FakeClient("GET", "/v1/models")
    await gateway(third.scope, third.receive, third.send)
    assert third.status == 200
