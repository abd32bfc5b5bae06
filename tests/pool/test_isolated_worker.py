"""Models' own code in an environment of 2023, beside the native route in this one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapt.own_model import own_plan
from tests.checkpoints.build import Family, build_checkpoint
from tests.environments import python_for
from tests.pool.processes import LIMIT_SECONDS, ask, events_of, get_health
from trueup.adapt.isolate.interpreter import command
from trueup.adapt.load import load_plan
from trueup.adapt.plan import Plan
from trueup.adapt.planning import Wishes, plan_model
from trueup.checkpoint.demo import unpack_demo
from trueup.engines.chat import TorchChatEngine
from trueup.errors import BackendError
from trueup.pool.launcher import ProcessLauncher
from trueup.pool.pool import Pool
from trueup.pool.scrub import worker_environment
from trueup.protocol.chat import parse_chat_request

pytestmark = [pytest.mark.environment, pytest.mark.slow]

QUESTION = [{"role": "user", "content": "你好"}]
NATIVE = Wishes(dtype="float32", device="cpu", route="native")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUEUP_HOME", str(tmp_path_factory.mktemp("home")))
        yield Path(os.environ["TRUEUP_HOME"])


@pytest.fixture(scope="module")
def isolated(home: Path) -> Plan:
    return isolated_plan(unpack_demo(), "worker-4.30")


def isolated_plan(directory: Path, environment: str) -> Plan:
    interpreter = str(python_for(environment))
    return own_plan(
        directory,
        route="isolated",
        family="chatglm2",
        environment={"is_ours": False, "interpreter": interpreter},
        context_tokens=1024,
    )


class Worker:
    """A worker on a socket of its own, by the command that the launcher uses."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        folder.mkdir()
        self.socket = folder / "w.sock"
        arguments, environment = [sys.executable, "-m"], worker_environment(os.environ)
        if plan.environment is not None:
            lent = command(Path(plan.environment["interpreter"]), folder / "lent")
            arguments, environment = list(lent.argv), lent.environment(environment)
        self.process = subprocess.Popen(
            [*arguments, "trueup.worker", "--socket", str(self.socket)],
            stdin=subprocess.PIPE,
            env=environment,
            cwd=folder,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"plan": plan.as_dict()}).encode() + b"\n")
        self.process.stdin.close()

    def chat(self, **fields: Any) -> dict[str, Any]:
        status, body = self.post({"model": "m", "messages": QUESTION, **fields})
        assert status == 200, body
        shape: dict[str, Any] = json.loads(body)
        return shape

    def events(self, **fields: Any) -> list[Any]:
        status, body = self.post({"model": "m", "messages": QUESTION, "stream": True, **fields})
        assert status == 200, body
        return list(events_of(body))

    def post(self, shape: dict[str, Any]) -> tuple[int, bytes]:
        with self.send(shape) as connection:
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def send(self, shape: dict[str, Any]) -> socket.socket:
        body = json.dumps(shape).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: w\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(LIMIT_SECONDS)
        connection.connect(str(self.socket))
        connection.sendall(head.encode() + body)
        return connection

    def wait(self) -> None:
        """Until it is ready; a worker that ends or says that it has failed is an error."""
        while True:
            assert self.process.poll() is None
            try:
                health = get_health(self.socket)
            except (FileNotFoundError, ConnectionRefusedError):
                continue
            assert health["state"] != "failed", health["finding"]
            if health["state"] == "ready":
                return


@pytest.fixture(scope="module")
def workers(isolated: Plan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Worker]]:
    """The isolated one and the native one, of the demo checkpoint."""
    folder = tmp_path_factory.mktemp("workers")
    plans = (isolated, plan_model("demo", NATIVE))
    made = [Worker(plan, folder / str(number)) for number, plan in enumerate(plans)]
    try:
        for each in made:
            each.wait()
        yield made
    finally:
        for each in made:
            each.process.kill()
            each.process.wait()


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"temperature": 0, "stop": ["模型"]},
        {"temperature": 1.5, "seed": 11, "n": 2, "max_tokens": 12},
        {"temperature": 0, "max_tokens": 5},
        {"temperature": 0, "trueup": {"continue_token_ids": [1003, 1272, 724]}},
    ],
)
def test_a_worker_of_2023_streams_what_the_native_one_streams(
    workers: list[Worker], fields: dict[str, Any]
) -> None:
    streams = [worker.events(**fields) for worker in workers]
    for stream in streams:
        assert stream[-1] == "[DONE]"
        for event in stream[:-1]:
            assert event.pop("id").startswith("chatcmpl-")
            event.pop("created")
    assert streams[0] == streams[1]
    first, second = (worker.chat(**fields) for worker in workers)
    assert first["choices"] == second["choices"]
    assert first["usage"] == second["usage"]


def test_a_client_that_leaves_cancels_and_the_next_answer_is_whole(workers: list[Worker]) -> None:
    worker = workers[0]
    before = get_health(worker.socket)["decoded_tokens"]
    wanted = {"temperature": 2, "seed": 4, "n": 8, "max_tokens": 60}
    in_all = workers[1].chat(**wanted)["usage"]["completion_tokens"]
    shape = {"model": "m", "messages": QUESTION, "stream": True, **wanted}
    with worker.send(shape) as connection:
        seen = b""
        while b'"token_ids"' not in seen:
            piece = connection.recv(65536)
            assert piece, seen
            seen += piece
    whole = worker.chat(temperature=0)
    assert whole["choices"][0]["message"]["content"].startswith("你好！我是 TrueUp")
    decoded = get_health(worker.socket)["decoded_tokens"] - before
    assert decoded < in_all


def test_the_worker_is_confined_and_lent_what_serves_http(workers: list[Worker]) -> None:
    worker = workers[0]
    assert get_health(worker.socket)["sandbox"] == get_health(workers[1].socket)["sandbox"]
    maps = Path(f"/proc/{worker.process.pid}/maps").read_text(encoding="utf-8")
    environment = python_for("worker-4.30").parent.parent
    libraries = {line.split()[-1] for line in maps.splitlines() if ".so" in line}
    ours = [each for each in libraries if "site-packages" in each]
    assert ours
    assert all(Path(each).is_relative_to(environment) for each in ours)


def test_odd_json_is_refused_there_as_here(workers: list[Worker]) -> None:
    for body in (b"{", b"\xff", b'{"n": NaN}', b"[" * 100_000):
        statuses = set()
        for worker in workers:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(LIMIT_SECONDS)
                connection.connect(str(worker.socket))
                head = f"Host: w\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(b"POST /v1/completions HTTP/1.1\r\n" + head.encode() + body)
                statuses.add(connection.recv(65536).split()[1])
        assert statuses == {b"400"}, body[:20]


def test_a_killed_worker_is_started_again_and_an_environment_that_is_gone_is_named(
    isolated: Plan, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Pool(launcher=ProcessLauncher(forks=False)) as pool:
            pool.add("m", isolated)
            async with pool.lease("m") as worker:
                before = await asyncio.to_thread(ask, worker.socket_path, "你好")
                os.kill(pid_of(pool), signal.SIGKILL)
                assert await pool.has_ended(worker)
            async with pool.lease("m") as worker:
                again = await asyncio.to_thread(ask, worker.socket_path, "你好")
            assert [before[0], again[0]] == [200, 200]
            gone = {"is_ours": True, "lock": "sha256:" + "0" * 64, "command": "trueup env build m"}
            pool.add("gone", Plan.from_dict({**isolated.as_dict(), "environment": gone}))
            with pytest.raises(BackendError, match="environment is not built") as caught:
                async with pool.lease("gone"):
                    pass
            assert caught.value.hint == "trueup env build m"

    def pid_of(pool: Pool) -> int:
        (pid,) = [each.pid for each in pool.snapshot() if each.pid is not None]
        return pid

    asyncio.run(main())


CHATS = [
    QUESTION,
    [
        {"role": "user", "content": "今天天气怎么样？"},
        {"role": "assistant", "content": "晴。"},
        {"role": "user", "content": "Say it again"},
    ],
]
SYSTEM = [{"role": "system", "content": "Be brief."}, *QUESTION]
KINDS: list[tuple[Family, str, list[Any]]] = [
    ("chatglm2", "worker-4.30", CHATS),
    ("chatglm3", "worker-4.30", [*CHATS, SYSTEM]),
    ("glm4", "reference-4.41", [*CHATS, SYSTEM]),
]


@pytest.mark.parametrize(("family", "environment", "chats"), KINDS)
def test_chats_by_a_models_own_code_are_those_of_the_native_route(
    family: Family, environment: str, chats: list[Any], home: Path, tmp_path: Path
) -> None:
    directory = build_checkpoint(family, tmp_path / family, seed=4)
    plan = isolated_plan(directory, environment)
    plan = Plan.from_dict({**plan.as_dict(), "family": family})
    jobs = tmp_path / "jobs.json"
    jobs.write_text(json.dumps([{"plan": plan.as_dict(), "chats": chats, "new_tokens": 24}]))
    lent = command(python_for(environment), tmp_path / "lent")
    run = subprocess.run(
        [lent.argv[0], "-P", Path(__file__).with_name("own_answers.py"), jobs],
        env=lent.environment({"TRUEUP_HOME": str(home), "HF_HOME": str(tmp_path / "hf")}),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    native = load_plan(plan_model(str(directory), NATIVE))
    engine = TorchChatEngine(native)
    for messages, own in zip(chats, json.loads(run.stdout), strict=True):
        request = parse_chat_request(
            {"model": "m", "messages": messages, "temperature": 0, "max_tokens": 24}
        )
        (prompt,) = engine.prepare(request)
        steps = list(engine.generate(prompt, request, bool))
        assert own["prompt"] == list(prompt.token_ids)
        assert own["tokens"] == [token for step in steps for token in step.token_ids]
        # Tokens beyond the vocabulary have a text to its own tokenizer.
        assert own["text"].strip() == own["decoded"].strip()
        assert own["stops"] == sorted(native.stop_token_ids)
