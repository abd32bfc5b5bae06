"""Models of the stand-in behind the gateway: recovery, fallbacks, and `trueup serve`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psutil
import pytest

from tests.fakes import FakeBackend, FakeClient, answer
from tests.gateway.test_chain import ask, gateway
from tests.llamafactory.worker import Bench, ended, is_gone, keeper_of, streamed, until
from trueup.cli.main import main
from trueup.config.limit_settings import LimitSettings


def said(content: str) -> dict[str, Any]:
    return {"model": "far", "stream": True, "messages": [{"role": "user", "content": content}]}


def finish_of(client: FakeClient) -> dict[str, Any]:
    chunks = [orjson.loads(each) for each in client.events[:-1]]
    return next(each for each in chunks if each["choices"] and each["choices"][0]["finish_reason"])


@pytest.mark.parametrize("victim", ["model", "keeper"])
async def test_the_answer_of_a_killed_worker_is_gone_on_with(victim: str, bench: Bench) -> None:
    text = "what was said stays said, 一字不差 🙂"
    async with bench.backend() as backend:
        app = gateway(backend)  # type: ignore[arg-type]
        client = FakeClient(body=said(f"hold {bench.gate} {text}"))
        asking = asyncio.create_task(app(client.scope, client.receive, client.send))
        await until(lambda: bool(client.headers) and len(client.text) > 5)
        pid = (await backend.health()).pid
        assert pid is not None
        (psutil.Process(pid) if victim == "model" else keeper_of(pid)).kill()
        await ended(pid)
        bench.gate.touch()
        await asking
        assert client.text == text
        assert client.events[-1] == b"[DONE]"
        assert finish_of(client)["trueup"]["continuations"] == 1
        assert finish_of(client)["choices"][0]["finish_reason"] == "stop"
        # None of the private keys is a client's.
        assert not any(b"token_ids" in each for each in client.events)
        assert len(bench.loads()) == 2


async def test_a_client_that_goes_away_ends_its_answer(bench: Bench) -> None:
    async with bench.backend() as backend:
        app = gateway(backend)  # type: ignore[arg-type]
        client = FakeClient(body=said("draw 90000") | {"max_tokens": 90_000})
        running = asyncio.create_task(app(client.scope, client.receive, client.send))
        await client.got_piece.wait()
        client.leave()
        await running
        assert (await ask(app, **said("say next"))).text == "next"
        made = (bench.folder / "made").read_text().split()[0]
        assert int(made) < 90_000
        assert (await backend.health()).leases == 0


async def test_a_model_that_makes_no_token_is_told_of_and_started_anew(bench: Bench) -> None:
    limits = LimitSettings(first_token_seconds=0.2, between_tokens_seconds=0.2)
    async with bench.backend(limits=limits) as backend:
        client = await ask(gateway(backend), **said(f"hold {bench.gate} x"))  # type: ignore[arg-type]
        assert b"`far` was silent for 0.2 s" in client.body
        await ended(*bench.loads())

        async def is_told() -> bool:
            return "no token within 0.2 s" in str((await backend.health()).last_error)

        await until(is_told)
        bench.gate.touch()
        assert (await streamed(backend, "say next")).text == "next"


async def test_who_stands_beside_it_answers_where_it_cannot(bench: Bench) -> None:
    other = FakeBackend(answer("instead"), name="other")
    async with bench.backend(template="nobody") as backend:
        client = await ask(gateway(backend, other), model="talk", stream=True)  # type: ignore[arg-type]
        assert client.text == "instead"
        alone = await ask(gateway(backend), **{**said("hi"), "stream": False})  # type: ignore[arg-type]
    error = orjson.loads(alone.body)["error"]
    assert error["code"] == "llamafactory_cannot_load"
    assert "template `nobody` does not exist" in error["message"]
    assert error["source"] == "far"


async def test_what_it_does_not_take_is_emulated_or_refused(bench: Bench) -> None:
    async with bench.backend() as backend:
        app = gateway(backend)  # type: ignore[arg-type]
        cut = await ask(app, **said("say one two three"), stop=["two"])
        assert (cut.text, finish_of(cut)["choices"][0]["finish_reason"]) == ("one ", "stop")
        twice = await ask(app, **{**said("draw 9"), "stream": False}, n=2, seed=1)
        first, second = (c["message"]["content"] for c in orjson.loads(twice.body)["choices"])
        assert len(first) == len(second) == 9
        assert first != second
        counted = orjson.loads(
            (await ask(app, **said("say 你好"), stream_options={"include_usage": True})).events[-2]
        )
        assert counted["usage"]["completion_tokens"] == 7
        refused = await ask(app, **said("hi"), logit_bias={"5": 1})
        assert orjson.loads(refused.body)["error"]["param"] == "logit_bias"
        loads = bench.loads()
        assert len(loads) == 1


@contextmanager
def server(bench: Bench, **more: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    entry = {
        "preset": "llamafactory",
        "base_model_path": str(bench.base),
        "python": sys.executable,
        **more,
    }
    config = bench.folder / "trueup.yaml"
    roles = {"talk": {"chain": ["far"]}}
    config.write_text(json.dumps({"config_version": 1, "backends": {"far": entry}, "roles": roles}))
    process = subprocess.Popen(
        [sys.executable, "-m", "trueup", "serve", "--config", config, "--port=0", "--format=json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate()


def post(url: str, content: str) -> dict[str, Any]:
    from urllib.request import Request, urlopen

    body = json.dumps(said(content) | {"model": "talk", "stream": False}).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{url}/v1/chat/completions", body, headers), timeout=60) as response:
        shape: dict[str, Any] = json.load(response)
    return shape


async def test_a_server_shows_its_model_and_takes_it_along_when_it_ends(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    with server(bench) as (process, url):
        shape = post(url, "say 你好")
        assert shape["choices"][0]["message"]["content"] == "你好"
        (pid,) = bench.loads()
        keeper = keeper_of(pid).pid
        assert main(["ps", "--format", "json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["servers"][0]["models"]
        assert (row["id"], row["state"], row["pid"]) == ("far", "ready", pid)
        assert row["memory_bytes"] > 2**20
        assert main(["backends", "--format", "json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["servers"][0]["backends"]
        assert (row["preset"], row["state"]) == ("llamafactory", "ready")
        assert row["url"] == f"{bench.base} on this machine"
        assert row["continuation"] == "token_ids"
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate()
        assert process.returncode == 0, told
        assert is_gone(pid)
        assert is_gone(keeper)
        assert f"`far` is {bench.base} on this machine (LlamaFactory)" in told
        assert "`far` is being loaded on this machine: 2.5 MB of weights" in told


async def test_a_worker_outlives_a_killed_server_for_its_lease_alone(bench: Bench) -> None:
    with server(bench, lease_seconds=1) as (process, url):
        post(url, "say hi")
        (pid,) = bench.loads()
        keeper = keeper_of(pid).pid
        process.kill()
        process.wait()
        await ended(pid, keeper)


async def test_the_next_server_finds_the_worker_of_a_killed_one(bench: Bench) -> None:
    with server(bench) as (process, url):
        post(url, "say hi")
        process.kill()
        process.wait()
    (pid,) = bench.loads()
    with server(bench) as (process, url):
        assert post(url, "say hi")["choices"][0]["message"]["content"] == "hi"
        assert bench.loads() == [pid]
    keeper_of(pid).kill()
    await ended(pid)
