from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, whole_answer
from trueup.backends.base import Health
from trueup.errors import BackendError, CapacityError, ConfigError, RequestError
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.router import Router, Served, ServedAlias, ServedRole
from trueup.gateway.serving import Serving

JSON = {"content-type": "application/json"}


def model(name: str, state: str = "ready", *, text: str = "hello", kind: str = "chat") -> Served:
    health = Health(state=state)  # type: ignore[arg-type]
    backend = FakeBackend([whole_answer(text)], name=name, headers=JSON, health=health)
    return Served(id=name, kind=kind, backend=backend, plan={"route": "native"})


def role(*chain: Served, name: str = "talk") -> ServedRole:
    return ServedRole(id=name, chain=chain, acceptance={"answer_seconds": 5.0})


@pytest.mark.parametrize(
    ("states", "answers"),
    [
        (("ready", "ready"), "m0"),
        (("stopped", "ready"), "m0"),
        (("starting", "ready"), "m0"),
        (("failed", "ready"), "m1"),
        (("failed", "failed", "stopped"), "m2"),
        (("failed", "failed"), "m0"),
        (("failed",), "m0"),
    ],
)
async def test_the_first_healthy_model_of_a_chain_answers_else_the_first(
    states: tuple[str, ...], answers: str
) -> None:
    models = [model(f"m{index}", state) for index, state in enumerate(states)]
    router = Router()
    router.open(*models, roles=[role(*models)])
    assert (await router.chain("talk"))[0].id == answers


async def test_a_role_returns_to_its_first_model_when_that_is_well_again() -> None:
    first, second = model("a", "failed"), model("b")
    router = Router()
    router.open(first, second, roles=[role(first, second)])
    assert (await router.chain("talk"))[0].id == "b"
    assert isinstance(first.backend, FakeBackend)
    first.backend._health = Health(state="stopped")
    assert (await router.chain("talk"))[0].id == "a"


async def test_the_row_of_a_role_names_who_would_be_asked_first_now() -> None:
    first, second = model("a"), model("b")
    serving = Serving()
    serving.router.open(first, second, roles=[role(first, second)])
    serving.router._names["gpt"] = ServedAlias(id="gpt", target=role(first, second))
    breaker = serving.breakers.of("a")
    while breaker.state == "closed":
        breaker.failed()
    client = FakeClient(method="GET", path="/v1/models")
    await Gateway(serving, Access(()))(client.scope, client.receive, client.send)
    rows = {row["id"]: row["trueup"] for row in client.json["data"]}
    assert rows["talk"]["role"]["answers"] == "b"
    assert (rows["talk"]["state"], rows["gpt"]["state"]) == ("ready", "ready")


async def test_an_alias_is_answered_as_its_target_is() -> None:
    first, second = model("a", "failed"), model("b")
    talk = role(first, second)
    router = Router()
    aliases = (ServedAlias(id="x", target=talk), ServedAlias(id="y", target=first))
    router.open(first, second, roles=(talk, *aliases))
    assert (await router.chain("x"))[0].id == "b"
    assert (await router.chain("y"))[0].id == "a"


async def test_every_model_is_one_of_all_once_and_names_are_more() -> None:
    first = model("a")
    router = Router()
    router.open(first, roles=[role(first), ServedAlias(id="x", target=first)])
    assert await router.all() == (first,)
    assert [each.id for each in await router.names()] == ["a", "talk", "x"]


async def test_an_unknown_name_is_told_with_the_nearest_of_all_kinds() -> None:
    first = model("a")
    router = Router()
    router.open(first, roles=[role(first, name="user_communication")])
    with pytest.raises(RequestError) as caught:
        await router.chain("user_comunication")
    assert caught.value.status == 404
    assert caught.value.hint == "did you mean `user_communication`"
    with pytest.raises(RequestError) as caught:
        await router.chain("zzz")
    assert caught.value.hint == "served here: `a`, `user_communication`"


async def test_who_asks_before_the_names_are_known_waits_for_them_or_their_error() -> None:
    router = Router()
    asked = asyncio.create_task(router.chain("a"))
    await asyncio.sleep(0)
    assert not asked.done()
    router.open(model("a"))
    assert [each.id for each in await asked] == ["a"]
    broken = Router()
    broken.fail(ConfigError("nothing"))
    for question in (broken.chain("a"), broken.names(), broken.all()):
        with pytest.raises(ConfigError, match="nothing"):
            await question


async def ask(gateway: Gateway, *arguments: str, body: bytes = b"") -> FakeClient:
    client = FakeClient(*arguments, body=body, headers=JSON)
    await gateway(client.scope, client.receive, client.send)
    return client


def gateway() -> Gateway:
    first, second = model("a", "failed", text="one"), model("b", "stopped", text="two")
    talk = role(first, second)
    serving = Serving()
    aliases = (ServedAlias(id="gpt-4o", target=talk), ServedAlias(id="org/b", target=second))
    serving.router.open(first, second, roles=(talk, *aliases))
    return Gateway(serving, Access([]))


async def test_models_roles_and_aliases_are_listed() -> None:
    shown = await ask(gateway(), "GET", "/v1/models")
    rows = {row["id"]: row for row in orjson.loads(b"".join(shown.pieces))["data"]}
    assert list(rows) == ["a", "b", "talk", "gpt-4o", "org/b"]
    assert all({"id", "object", "created", "owned_by"} <= row.keys() for row in rows.values())
    own = {name: row["trueup"] for name, row in rows.items()}
    assert own["a"] == {"kind": "chat", "state": "failed", "plan": {"route": "native"}}
    assert own["talk"] == {
        "kind": "chat",
        "state": "stopped",
        "plan": None,
        "role": {"chain": ["a", "b"], "answers": "b", "acceptance": {"answer_seconds": 5.0}},
    }
    assert own["gpt-4o"] == {
        "kind": "chat",
        "state": "stopped",
        "plan": None,
        "alias_of": "talk",
    }
    assert own["org/b"]["alias_of"] == "b"


@pytest.mark.parametrize("name", ["talk", "gpt-4o", "org/b"])
async def test_one_role_or_alias_is_shown_by_its_name(name: str) -> None:
    shown = await ask(gateway(), "GET", f"/v1/models/{name}")
    assert (shown.status, orjson.loads(b"".join(shown.pieces))["id"]) == (200, name)


@pytest.mark.parametrize("name", ["talk", "gpt-4o", "org/b", "b"])
async def test_a_request_for_a_role_or_alias_is_answered_by_its_model(name: str) -> None:
    body = orjson.dumps({"model": name, "messages": [{"role": "user", "content": "hi"}]})
    answered = await ask(gateway(), "POST", "/v1/chat/completions", body=body)
    assert answered.status == 200
    assert answered.headers["x-trueup-backend"] == "b"
    content = orjson.loads(b"".join(answered.pieces))["choices"][0]["message"]["content"]
    assert content == "two"


async def test_where_no_model_of_a_chain_is_healthy_the_firsts_own_error_is_told() -> None:
    error = BackendError("`a` did not load", retryable=True, status=503)
    health = Health(state="failed")
    first = Served(
        id="a", kind="chat", backend=FakeBackend(name="a", before=[error], health=health)
    )
    serving = Serving()
    serving.router.open(first, roles=[role(first)])
    body = orjson.dumps({"model": "talk", "messages": [{"role": "user", "content": "hi"}]})
    answered = await ask(Gateway(serving, Access([])), "POST", "/v1/chat/completions", body=body)
    assert answered.status == 503
    assert orjson.loads(b"".join(answered.pieces))["error"]["source"] == "a"


async def test_who_waits_for_what_takes_long_is_told_to_ask_again_until_all_is_known() -> None:
    router = Router()
    waiting = asyncio.create_task(router.names())
    await asyncio.sleep(0)
    router.put_off(CapacityError("an environment is built", retry_after_seconds=5.0))
    with pytest.raises(CapacityError, match="an environment is built"):
        await waiting
    with pytest.raises(CapacityError):
        await router.chain("a")
    assert not router.is_open
    router.open(model("a"))
    assert [each.id for each in await router.names()] == ["a"]
    router.put_off(CapacityError("too late"))
    assert (await router.chain("a"))[0].id == "a"
