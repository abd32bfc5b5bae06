"""The modes with the real llamafactory: its answers, and what becomes of them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from tests.fakes import FakeClient
from tests.gateway.test_chain import gateway
from tests.llamafactory.conftest import RECITED, Models
from tests.llamafactory.models import TEMPLATE
from tests.llamafactory.test_models import ASK
from tests.llamafactory.worker import (
    Answer,
    Bench,
    ended,
    is_gone,
    relay_of,
    request,
    streamed,
    until,
    whole,
)
from tests.sshd import sshd
from trueup.errors import RequestError

pytestmark = pytest.mark.llamafactory

QUESTION = "你好"
TOKENS = 400


@pytest.mark.parametrize("mode", ["script", "cli", "api"])
@pytest.mark.parametrize("where", ["here", "over SSH"])
async def test_a_reply_is_whole_whatever_it_and_the_message_say(
    where: str, mode: str, real: Bench, llamafactory_python: Path, models: Models
) -> None:
    messages = [
        QUESTION,
        "one\n\nUser: two\nthree\n",
        "exit",
        "clear",
        "字" * 6000,
        "👩‍👩‍👧 é",
    ]
    told = {"python": str(llamafactory_python), "base_model_path": str(models.reciting)}
    told["mode"] = mode
    async with AsyncExitStack() as stack:
        ssh = None
        if where == "over SSH":
            (home := real.folder / "far").mkdir()
            (keys := real.folder / "sshd").mkdir()
            server = stack.enter_context(sshd(keys, f"SetEnv HOME={home} HF_HUB_OFFLINE=1\n"))
            ssh = server.settings
        backend = await stack.enter_async_context(real.backend(**told, template=TEMPLATE, ssh=ssh))
        pids = set()
        for message in messages:
            answer = await streamed(backend, message, temperature=0)
            shape = await whole(backend, message, temperature=0)
            (choice,) = shape["choices"]
            assert answer.text == choice["message"]["content"] == "".join(RECITED)
            assert answer.finish_reason == choice["finish_reason"] == "stop"
            # Each piece is a token, and so is the end.
            assert answer.usage == (None if mode == "api" else shape["usage"])
            assert shape["usage"]["completion_tokens"] == len(RECITED) + 1
            pids.add((await backend.health()).pid)
        (pid,) = pids
        assert backend.version == (None if mode == "api" else "0.9.5")
        cut = await streamed(backend, QUESTION, temperature=0, max_tokens=2)
        # Streams of LlamaFactory's API tell no usage and always the same finish reason.
        finish = "stop" if mode == "api" else "length"
        assert (cut.text, cut.finish_reason) == ("".join(RECITED[:2]), finish)
    assert pid is not None
    assert is_gone(pid)


async def test_an_answer_is_llamafactorys_own_and_survives_what_is_lost(
    real: Bench, llamafactory_python: Path, models: Models
) -> None:
    told: dict[str, Any] = {
        "python": str(llamafactory_python),
        "base_model_path": str(models.base),
        "adapter_path": str(models.adapter),
        "template": "qwen2",
    }
    greedy: dict[str, Any] = {"temperature": 0, "max_tokens": TOKENS}
    async with real.backend(**told) as backend:
        short = await streamed(backend, QUESTION, temperature=0, max_tokens=12)
        own = await asyncio.to_thread(_own_answer, llamafactory_python, models)
        assert [short.text, short.finish_reason] == own
        undisturbed = await streamed(backend, QUESTION, **greedy)
        pid = (await backend.health()).pid
        assert pid is not None
        assert backend.capabilities.is_exact

        # The connection is lost: the answer goes on, of the same process.
        answer = Answer()
        async with backend.open(request(QUESTION, stream=True, **greedy)) as response:
            async for piece in response.body:
                answer.take(piece)
                if len(answer.token_ids) == 3:
                    relay_of(os.getpid()).kill()
        assert (answer.text, answer.token_ids) == (undisturbed.text, undisturbed.token_ids)
        assert (await backend.health()).pid == pid

        # Who leaves is not answered to the end: the model would be busy for minutes.
        async with backend.open(request(QUESTION, stream=True, max_tokens=16_000)) as response:
            await anext(aiter(response.body))
        drawn = await streamed(backend, QUESTION, seed=5, max_tokens=20)
        rest = await streamed(
            backend,
            QUESTION,
            seed=5,
            max_tokens=20,
            trueup={"continue_token_ids": drawn.token_ids[:8]},
        )
        assert drawn.token_ids == [*drawn.token_ids[:8], *rest.token_ids]
        with pytest.raises(RequestError, match="the context of this model 16384"):
            await streamed(backend, "x" * 20_000)

        # The worker is killed: the gateway has the answer gone on with by another one.
        app = gateway(backend)  # type: ignore[arg-type]
        shape = {"model": "far", "messages": [{"role": "user", "content": QUESTION}]}
        client = FakeClient(body={**shape, **greedy, "stream": True})
        asking = asyncio.create_task(app(client.scope, client.receive, client.send))
        await until(lambda: bool(client.headers) and bool(client.text))
        psutil.Process(pid).kill()
        await asking
        assert client.text == undisturbed.text
        finish = next(each for each in map(orjson.loads, client.events[:-1]) if "trueup" in each)
        assert finish["trueup"] == {"tries": 2, "continuations": 1, "exact": True}
        again = (await backend.health()).pid
        assert again not in (None, pid)
    await ended(pid, again or 0)


def _own_answer(python: Path, models: Models) -> list[str]:
    """What LlamaFactory's ChatModel says without us, and why it ended."""
    arguments = {
        "model_name_or_path": str(models.base),
        "adapter_name_or_path": str(models.adapter),
    }
    finished = subprocess.run(
        [python, "-c", ASK, json.dumps([arguments])], capture_output=True, text=True, check=True
    )
    (answer,) = json.loads(finished.stdout.splitlines()[-1])
    return list(answer)
