from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.backends.far_end import FarEnd, answer
from tests.backends.test_openai_compatible import STREAM, asking, read
from trueup.backends.look import listed, version
from trueup.backends.registry import open_backend
from trueup.config.settings import BackendSettings


def models(*rows: dict[str, Any]) -> bytes:
    return orjson.dumps({"object": "list", "data": rows})


@pytest.mark.parametrize(
    ("row", "tokens"),
    [
        ({"max_model_len": 4096}, 4096),
        ({"context_length": 2048}, 2048),
        ({"meta": {"n_ctx_train": 8192}}, 8192),
        ({"meta": {"n_ctx": 4096, "n_ctx_train": 8192}}, 4096),
        ({"trueup": {"plan": {"context_tokens": 512}}}, 512),
        ({"max_model_len": "4096"}, None),
        ({"max_model_len": True}, None),
        ({"max_model_len": -1}, None),
        ({"meta": None, "trueup": []}, None),
        ({}, None),
    ],
)
def test_servers_have_words_of_their_own_for_the_context(
    row: dict[str, Any], tokens: int | None
) -> None:
    found = listed(models({"id": "m", **row}))
    assert found is not None
    assert found.context_of("m") == tokens


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"data": 1}', b'{"error": 1}'])
def test_what_lists_no_models_says_nothing(body: bytes) -> None:
    assert listed(body) is None


@pytest.mark.parametrize(
    ("ids", "name", "context"), [(["a"], "a", 1), (["me"], None, 1), (["a", "b"], None, None)]
)
def test_the_only_model_is_the_one_that_is_meant(
    ids: list[str], name: str | None, context: int | None
) -> None:
    found = listed(models(*({"id": each, "max_model_len": 1} for each in ids)))
    assert found is not None
    assert found.name_for("me") == name
    assert found.context_of("me") == context


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"version": "0.9.1"}', "0.9.1"),
        (b'"4.1.0"', "4.1.0"),
        (b'{"version": {"full": 1}}', None),
        (b'{"version": ""}', None),
        (b'{"version": "a\\nb"}', None),
        (b"<html>", None),
    ],
)
def test_a_version_is_a_line_of_text(body: bytes, told: str | None) -> None:
    assert version(body, "version") == told


async def test_a_look_learns_model_context_and_version() -> None:
    looks = {
        "/v1/models": models({"id": "glm4", "max_model_len": 2048}),
        "/version": b'{"version": "0.9.1"}',
    }
    async with asking(looks=looks, preset="vllm") as (backend, far):
        assert (await backend.health()).state == "starting"
        await backend.look()
        assert (backend.model, backend.version) == ("glm4", "0.9.1")
        assert backend.capabilities.context_tokens == 2048
        assert (await backend.health()).state == "ready"
        assert far.asked == []  # nothing was loaded


async def test_what_the_settings_say_is_not_learned_over() -> None:
    looks = {"/v1/models": models({"id": "glm4", "max_model_len": 2048})}
    async with asking(looks=looks, model="mine", context_tokens=100) as (backend, _):
        await backend.look()
        assert (backend.model, backend.capabilities.context_tokens) == ("mine", 100)


async def test_a_server_without_a_list_is_ready_all_the_same() -> None:
    async with asking() as (backend, _):
        await backend.look()
        health = await backend.health()
        assert (health.state, health.version) == ("ready", None)
        assert backend.model is None


async def test_an_answer_is_not_delayed_by_a_look() -> None:
    looks = {"/v1/models": models({"id": "glm4"})}
    async with asking(looks=looks) as (backend, far):
        await read(backend)  # starts one
        assert len(far.asked) == 1
        await backend.look()
        looked = len(far.looked)
        assert looked > 0
        await read(backend)  # starts none: what it says is new
        await backend.look()
        await asyncio.sleep(0)
        assert backend.model == "glm4"


async def test_a_model_that_is_gone_has_the_server_looked_at_anew() -> None:
    now = 0.0
    far = FarEnd((answer(status="404 Not Found"),), {"/v1/models": models({"id": "old"})})
    async with far.listening():
        backend = open_backend(BackendSettings(name="x", url=far.url), clock=lambda: now)
        await backend.look()
        far.looks = {"/v1/models": models({"id": "new"})}
        now += 10.0
        await read(backend)
        await backend.look()
        assert backend.model == "new"
        await backend.close()


async def test_a_refused_key_is_told() -> None:
    async def act(talk: Any) -> None:
        talk.say(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")

    async with asking(act) as (backend, _):
        assert await read(backend) == b""
        health = await backend.health()
        assert health.state == "failed"
        assert str(health.last_error).endswith("refuses the key: status 401")
    async with asking(act, api_key=None) as (backend, _):
        await read(backend)
        assert str((await backend.health()).last_error).endswith("wants a key: status 401")


async def test_a_server_that_comes_back_is_seen() -> None:
    far = FarEnd((STREAM,), {"/v1/models": models({"id": "m"})})
    async with far.listening():
        pass
    now = 0.0
    settings = BackendSettings(name="x", url=far.url)
    backend = open_backend(settings, clock=lambda: now)
    await backend.look()
    assert (await backend.health()).state == "failed"
    async with far.listening():
        now += 10.0
        await backend.health()  # old: asked for anew
        await backend.look()
        assert (await backend.health()).state == "ready"
        await backend.close()
