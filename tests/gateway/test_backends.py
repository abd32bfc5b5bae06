from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeBackend, FakeClient
from trueup.backends.base import Accepts, Capabilities, Health
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.lessons import Lessons
from trueup.gateway.router import Served
from trueup.gateway.serving import Serving
from trueup.state import StateStore


class Foreign(FakeBackend):
    """A backend over HTTP, as far as the list of backends looks at it."""

    model: str | None = "glm4-chat"
    version: str | None = "4.1.0"
    preset = "xinference"
    address = "http://user:secret@127.0.0.1:9997/v1?key=secret"


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    serving = Serving(lessons=Lessons(StateStore(tmp_path / "state.sqlite")))
    capabilities = Capabilities(
        continuation="prefix",
        accepts=Accepts(ignored=frozenset({"n"}), renamed={"developer": "system"}),
    )
    xin = Foreign(name="xin", capabilities=capabilities, health=Health(state="starting"))
    glm = FakeBackend(name="org/glm")
    serving.router.open(
        Served(id="xin", kind="chat", backend=xin),
        Served(id="org/glm", kind="chat", backend=glm, plan={}),
    )
    return serving


async def asked(serving: Serving, method: str, path: str) -> FakeClient:
    client = FakeClient(method, path)
    await Gateway(serving, Access([]))(client.scope, client.receive, client.send)
    return client


async def rows(serving: Serving) -> dict[str, Any]:
    client = await asked(serving, "GET", "/api/backends")
    assert client.status == 200
    return {row["name"]: row for row in client.json["backends"]}


async def test_every_backend_is_listed_with_how_it_is_and_what_it_takes(serving: Serving) -> None:
    found = await rows(serving)
    xin = found["xin"]
    assert list(found) == ["xin", "org/glm"]
    assert (xin["preset"], xin["model"], xin["version"]) == ("xinference", "glm4-chat", "4.1.0")
    assert (xin["state"], xin["breaker"], xin["is_local"]) == ("starting", "closed", False)
    assert xin["accepts"]["ignored"] == ["n"]
    assert xin["accepts"]["renamed"] == {"developer": "system"}
    assert xin["continuation"] == "prefix"
    assert xin["limits"]["connect_seconds"] == 5.0
    assert (found["org/glm"]["url"], found["org/glm"]["is_local"]) == (None, True)


async def test_no_credential_of_a_url_is_shown(serving: Serving) -> None:
    client = await asked(serving, "GET", "/api/backends")
    assert b"secret" not in client.body
    assert (await rows(serving))["xin"]["url"] == "http://127.0.0.1:9997/v1"


async def test_lessons_are_listed_with_their_age_and_end(serving: Serving) -> None:
    (xin, _) = await serving.router.all()
    serving.lessons.learn(xin.backend, "tool_choice")
    (lesson,) = (await rows(serving))["xin"]["lessons"]
    assert lesson["parameter"] == "tool_choice"
    assert (lesson["model"], lesson["version"]) == ("glm4-chat", "4.1.0")
    assert lesson["age_seconds"] >= 0
    assert lesson["expires_in_seconds"] > 3600


async def test_lessons_are_forgotten_by_backend_or_all(serving: Serving) -> None:
    xin, glm = await serving.router.all()
    for parameter in ("seed", "user"):
        serving.lessons.learn(xin.backend, parameter)
        serving.lessons.learn(glm.backend, parameter)
    client = await asked(serving, "DELETE", "/api/backends/org/glm/lessons")
    assert (client.status, client.json) == (200, {"cleared": 2})
    found = await rows(serving)
    assert (len(found["xin"]["lessons"]), found["org/glm"]["lessons"]) == (2, [])
    client = await asked(serving, "DELETE", "/api/backends/lessons")
    assert (client.status, client.json) == (200, {"cleared": 2})
    assert (await rows(serving))["xin"]["lessons"] == []


async def test_lessons_of_a_backend_that_is_served_no_longer_can_be_forgotten(
    serving: Serving,
) -> None:
    serving.lessons.learn(FakeBackend(name="gone"), "seed")
    client = await asked(serving, "DELETE", "/api/backends/gone/lessons")
    assert (client.status, client.json) == (200, {"cleared": 1})


async def test_an_open_breaker_is_told(serving: Serving) -> None:
    breaker = serving.breakers.of("xin")
    while breaker.state == "closed":
        breaker.failed()
    assert (await rows(serving))["xin"]["breaker"] == "open"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/api/backends/nobody/lessons", 404),
        ("DELETE", "/api/backends/xin", 404),
        ("DELETE", "/api/backends/", 404),
        ("DELETE", "/api/backends", 405),
        ("GET", "/api/backends/lessons", 405),
        ("POST", "/api/backends/xin/lessons", 405),
    ],
)
async def test_what_is_no_backend_is_an_error(
    serving: Serving, method: str, path: str, status: int
) -> None:
    client = await asked(serving, method, path)
    assert client.status == status
    assert client.json["error"]["message"]
