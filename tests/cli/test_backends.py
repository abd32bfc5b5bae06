from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.odd_server import OddServer, Said, odd_server
from trueup.cli.main import main
from trueup.config.servers import RunningServer, registered

LESSON = {
    "parameter": "tool_choice",
    "model": "glm4",
    "version": "4.1",
    "age_seconds": 7300.0,
    "expires_in_seconds": 500000.0,
}
BACKENDS = [
    {
        "name": "xin",
        "kind": "chat",
        "url": "http://127.0.0.1:9997/v1",
        "model": "glm4",
        "version": "4.1",
        "state": "ready",
        "breaker": "open",
        "lessons": [LESSON],
    },
    {"name": "demo", "kind": "chat", "state": "stopped", "breaker": "closed", "lessons": []},
    {
        "name": "shut",
        "kind": "chat",
        "state": "failed",
        "last_error": "`shut` at http://127.0.0.1:1/v1 wants a key: status 401",
        "breaker": "closed",
        "lessons": [],
    },
]


def answer(method: str, path: str, shape: Any) -> Said:
    if (method, path) == ("GET", "/api/backends"):
        return Said({"backends": BACKENDS})
    if method == "DELETE" and path in ("/api/backends/lessons", "/api/backends/org%2Fx/lessons"):
        return Said({"cleared": 1 if "org" in path else 3})
    message = "there is no backend `nobody`; `GET /api/backends` lists them"
    hint = "`GET /api/backends` lists them"
    return Said({"error": {"message": message, "hint": hint}}, status=404)


def run(*words: str, said: Callable[[str, str, Any], Said] = answer) -> tuple[int, OddServer]:
    async def asked() -> tuple[int, OddServer]:
        async with odd_server(said) as odd:
            line = [word.replace("URL", odd.url.removesuffix("/v1")) for word in words]
            return await asyncio.to_thread(main, ["backends", *line]), odd

    return asyncio.run(asked())


@pytest.mark.parametrize("words", [("--url", "URL"), ("list", "--url", "URL/v1")])
def test_backends_are_listed_with_what_was_learned(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words)[0] == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["NAME", "KIND", "MODEL", "STATE", "BREAKER", "VERSION", "URL"]
    assert lines[2].split() == [
        "xin", "chat", "glm4", "ready", "open", "4.1", "http://127.0.0.1:9997/v1",
    ]  # fmt: skip
    assert lines[5] == "xin: does not take `tool_choice` (learned 2 h ago, forgotten in 6 d)"
    assert lines[6] == "shut: at http://127.0.0.1:1/v1 wants a key: status 401"


def test_the_list_is_json_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--url", "URL", "--format", "json")[0] == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema_version"] == 1
    assert report["servers"][0]["backends"] == BACKENDS


@pytest.mark.parametrize(
    ("words", "path", "told"),
    [
        (("clear",), "/api/backends/lessons", "3 lessons forgotten"),
        (("clear", "org/x"), "/api/backends/org%2Fx/lessons", "1 lesson forgotten of org/x"),
    ],
)
def test_lessons_are_cleared(
    words: tuple[str, ...], path: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, odd = run(*words, "--url", "URL")
    assert status == 0
    assert odd.asked == [("DELETE", path, None)]
    assert capsys.readouterr().out.strip() == told


def test_the_server_says_why_nothing_is_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clear", "nobody", "--url", "URL")[0] == 1
    err = capsys.readouterr().err
    assert "error: there is no backend `nobody`\n" in err
    assert "hint:  `GET /api/backends` lists them" in err


@pytest.mark.parametrize(
    "said", [Said([]), Said(b"<html>", content_type="text/html"), Said({"x": 1}), Said({}, 500)]
)
def test_what_is_no_server_of_ours_is_an_expected_error(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list", "--url", "URL", said=lambda method, path, shape: said)[0] == 1
    assert "error:" in capsys.readouterr().err


def test_without_a_server_there_is_nothing_to_list_or_clear(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["backends"]) == 1
    assert main(["backends", "clear"]) == 2
    assert main(["backends", "--url", "http://127.0.0.1:1"]) == 1
    assert "no server" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["backends"], ["ps"]])
def test_of_several_servers_those_that_want_a_key_are_told_with_what_to_do(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    error = {"message": "no API key is given; send it", "hint": "send it"}
    locked = Said({"error": error}, status=401)

    async def asked() -> int:
        async with odd_server(lambda *_: locked) as one, odd_server(lambda *_: locked) as two:
            with contextlib.ExitStack() as stack:
                for pid, odd in ((os.getpid(), one), (os.getppid(), two)):
                    url = odd.url.removesuffix("/v1")
                    running = RunningServer(url=url, pid=pid, models=())
                    stack.enter_context(registered(running))
                return await asyncio.to_thread(main, words)

    assert asyncio.run(asked()) == 1
    err = capsys.readouterr().err
    assert err.count(": no API key is given; set TRUEUP_API_KEY to the server's key") == 2


def test_among_several_servers_the_one_that_has_the_backend_is_meant(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    having = {"http://a": ["xin", "both"], "http://b": ["both"]}
    cleared: list[str] = []

    def ask(url: str, path: str, *, wants: str, method: str = "GET") -> dict[str, Any]:
        if method == "DELETE":
            cleared.append(url)
            return {"cleared": 1}
        return {"backends": [{"name": name} for name in having[url]]}

    monkeypatch.setattr("trueup.cli.backends.server_urls", lambda url: tuple(having))
    monkeypatch.setattr("trueup.cli.backends.ask_server", ask)
    assert main(["backends", "clear", "xin"]) == 0
    assert cleared == ["http://a"]
    capsys.readouterr()
    for name, told in (
        ("both", "2 servers with a backend `both` run here (http://a, http://b)"),
        ("nosuch", "2 servers run here (http://a, http://b)"),
    ):
        assert main(["backends", "clear", name]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert "name it: --url http://a" in err
    assert cleared == ["http://a"]
