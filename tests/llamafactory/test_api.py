"""The mode api: the stand-in's API, launched under the keeper or attached to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import orjson
import psutil
import pytest

from tests.clients.processes import free_port
from tests.gateway.test_chain import ask, gateway
from tests.llamafactory.test_cli import program
from tests.llamafactory.worker import Bench, ended, keeper_of, streamed, until, whole
from tests.sshd import sshd
from trueup.backends.llamafactory.api_backend import ForwardedBackend
from trueup.backends.llamafactory.far.api_server import listens
from trueup.backends.llamafactory.opening import open_llamafactory
from trueup.config.llamafactory_settings import HostSettings, LlamaFactorySettings
from trueup.config.secret import Secret
from trueup.errors import BackendError, ConfigError, RequestError


@pytest.mark.parametrize("where", ["here", "over SSH"])
async def test_it_is_launched_behind_a_key_and_asked(where: str, bench: Bench) -> None:
    told = {"mode": "api", "cli_path": str(program(bench)), "template": "qwen"}
    if where == "here":
        async with bench.backend(**told) as backend:
            pids = await _asked(backend, bench)
    else:
        (home := bench.folder / "far").mkdir()
        (keys := bench.folder / "sshd").mkdir()
        variables = {"HOME": home, "PYTHONPATH": bench.path, "FAKE_LOADS": bench.folder / "loads"}
        more = " ".join(f"{name}={value}" for name, value in variables.items())
        with sshd(keys, f"SetEnv {more}\n") as server:
            async with bench.backend(**told, ssh=server.settings) as backend:
                pids = await _asked(backend, bench)
    await ended(*pids)


async def _asked(backend, bench: Bench) -> list[int]:  # type: ignore[no-untyped-def]
    first = await streamed(backend, "hi 你好")
    assert (first.text, first.finish_reason) == ("streamed hi 你好", "stop")
    shape = await whole(backend, "recite")
    assert shape["choices"][0]["message"]["content"] == "你好\nUser: again\n\nUser: yes"
    (pid,) = bench.loads()
    assert (await backend.health()).pid == pid
    (listening,) = [c for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"]
    assert listening.laddr.ip == "127.0.0.1"
    key = psutil.Process(pid).environ()["API_KEY"]
    assert len(key) > 20
    assert backend.conceal(f"<{key}>") == "<***>"
    # What would break a stream after its status is mended or refused before it.
    twice = [{"role": "user", "content": each} for each in ("hi", "there")]
    assert (await streamed(backend, twice)).text == "streamed hi\n\nthere"
    with pytest.raises(RequestError, match="`user`, which begins a conversation"):
        await streamed(backend, [{"role": "assistant", "content": "x"}])
    # A killed one is started anew.
    model = psutil.Process(pid).ppid()
    keeper = keeper_of(model).pid
    psutil.Process(pid).kill()
    await ended(pid, model)
    await until(lambda: _is_told(backend))
    assert (await streamed(backend, "again")).text == "streamed again"
    assert len(bench.loads()) == 2
    return [*bench.loads(), keeper]


async def _is_told(backend) -> bool:  # type: ignore[no-untyped-def]
    return (await backend.health()).state == "failed"


async def test_one_that_died_unseen_is_started_anew_for_those_who_ask(bench: Bench) -> None:
    async with bench.backend(mode="api", cli_path=str(program(bench))) as backend:
        assert (await streamed(backend, "hi")).text == "streamed hi"
        (pid,) = bench.loads()
        psutil.Process(pid).kill()
        # Nobody waits until that is known.
        answers = await asyncio.gather(*(streamed(backend, word) for word in ("one", "two")))
        assert [each.text for each in answers] == ["streamed one", "streamed two"]
        assert len(bench.loads()) == 2


async def test_the_same_port_with_another_key_is_another_server(bench: Bench) -> None:
    async with bench.backend(mode="api", cli_path=str(program(bench))) as found:
        backend: Any = found
        said = {"state": "ready", "port": 1, "key": "one", "model": "model"}
        backend._session.state = said
        first = await backend._reached()
        assert await backend._reached() is first
        backend._session.state = {**said, "key": "two"}
        second = await backend._reached()
        assert second is not first
        assert backend.conceal("<two>") == "<***>"
        backend._session.state = {"state": "stopped"}


@pytest.mark.parametrize("is_ours", [True, False])
def test_another_who_listens_on_its_port_is_not_taken_for_it(is_ours: bool) -> None:
    # A load takes minutes, in which anybody may take a port that was free before.
    names = ["model-1" if is_ours else "model-2"]

    class Listening(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = orjson.dumps({"data": [{"id": name} for name in names]})
            self.send_response(200 if self.headers["Authorization"] == "Bearer key" else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with (
        HTTPServer(("127.0.0.1", 0), Listening) as server,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"]) as child,
    ):
        (serving := Thread(target=server.serve_forever)).start()
        assert listens(child, server.server_port, "key", "model-1") is is_ours
        child.kill()
        server.shutdown()
        serving.join()


async def test_the_gateway_counts_what_it_does_not(bench: Bench) -> None:
    async with bench.backend(mode="api", cli_path=str(program(bench))) as backend:
        app = gateway(backend)  # type: ignore[arg-type]
        client = await ask(
            app,
            model="far",
            stream=True,
            messages=[{"role": "user", "content": "hi"}],
            stream_options={"include_usage": True},
            presence_penalty=0,
        )
        assert client.text == "streamed hi"
        assert orjson.loads(client.events[-2])["usage"]["completion_tokens"] > 0


async def test_what_it_ended_with_is_told(bench: Bench) -> None:
    cli = str(program(bench))
    async with bench.backend(mode="api", cli_path=cli, template="qwenn") as backend:
        with pytest.raises(BackendError, match="template `qwenn` does not exist"):
            await streamed(backend, "hi")


def test_one_that_listens_beyond_its_host_is_refused(bench: Bench) -> None:
    ssh = HostSettings(host="gpu.example")
    for url in ("http://10.0.0.7:8000/v1", "http://node7:8000"):
        settings = LlamaFactorySettings(name="far", mode="api", url=url, ssh=ssh)
        with pytest.raises(ConfigError, match="leads to its loopback"):
            open_llamafactory(settings, say=bench.said.append)


async def test_one_that_runs_on_a_host_is_attached_to(bench: Bench) -> None:
    port = free_port()
    environment = {**os.environ, "API_HOST": "127.0.0.1", "API_PORT": str(port)}
    environment |= {"API_KEY": "far-key", "API_MODEL_NAME": "qwen"}
    words = [sys.executable, program(bench), "api", f"--model_name_or_path={bench.base}"]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
    (keys := bench.folder / "sshd").mkdir()
    try:
        with sshd(keys) as server:
            settings = LlamaFactorySettings(
                name="far",
                mode="api",
                url=f"http://127.0.0.1:{port}/v1",
                api_key=Secret("far-key"),
                ssh=server.settings,
            )
            backend = open_llamafactory(settings, say=bench.said.append)
            assert isinstance(backend, ForwardedBackend)
            try:
                await until(lambda: bool(bench.loads()) and _listens(process.pid))
                await backend.look()
                assert backend.model == "qwen"
                assert (await streamed(backend, "hi")).text == "streamed hi"
                server.drop_connections()
                # That it has dropped may be seen by the request that comes next.
                with contextlib.suppress(BackendError):
                    await streamed(backend, "once")
                assert (await streamed(backend, "back")).text == "streamed back"
            finally:
                await backend.close()
    finally:
        process.kill()
        process.wait()


def _listens(pid: int) -> bool:
    return any(c.status == "LISTEN" for c in psutil.Process(pid).net_connections())
