"""Xinference as its users start it, with a tiny model of ours registered and launched.

Loopback only, its home in a temporary folder, no virtual environment for the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.clients.checkpoint import CHAT_TEMPLATE, CONTEXT_TOKENS, write_checkpoint
from tests.clients.processes import (
    POLL_SECONDS,
    NotStarted,
    Running,
    free_port,
    listening_elsewhere,
    running,
)
from tests.environments import python_for

ENVIRONMENT = "server-xinference-4.1"
LOOPBACK = "127.0.0.1"
MODEL = "tiny"
START_SECONDS = 180.0
LAUNCH_SECONDS = 180.0
RECOVERY_SECONDS = 60.0
SETUP_TOKEN = re.compile(r"Setup token: (\S+)")
ADMIN = {"username": "admin", "password": "a-long-password-of-nobody"}


@dataclass
class Xinference:
    """The server while it runs; `model_pid` is the process of the model that was launched."""

    url: str
    started: Running
    key: str | None = None
    model_pid: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    async def post(self, path: str, shape: Any, *, is_form: bool = False) -> Any:
        """Ask one of its own routes.

        Raises:
            NotStarted: it did not answer with a 2xx.
        """
        limit = aiohttp.ClientTimeout(total=LAUNCH_SECONDS)
        body = {"data": shape} if is_form else {"json": shape}
        async with (
            aiohttp.ClientSession(timeout=limit, headers=self.headers) as session,
            session.post(self.url + path, **body) as response,
        ):
            text = await response.text()
            if response.status >= 300:
                raise NotStarted(f"POST {path}: {response.status} {text}\n{self.started.said()}")
            return json.loads(text)

    async def sign_in(self) -> None:
        """Set up the first account with the token from the log, and make a key."""
        found = SETUP_TOKEN.search(self.started.log.read_text(encoding="utf-8", errors="replace"))
        if found is None:
            raise NotStarted(f"no setup token in the log:\n{self.started.said()}")
        await self.post("/v1/admin/setup", {"setup_token": found[1], **ADMIN})
        token = (await self.post("/token", ADMIN))["access_token"]
        self.headers["Authorization"] = f"Bearer {token}"
        self.key = (await self.post("/v1/admin/keys", {"name": "gateway"}))["key"]

    async def launch(self, checkpoint: Path) -> None:
        """Register the checkpoint and load it into a process of its own."""
        before = self.descendants()
        model = {"model": json.dumps(registration(checkpoint)), "persist": False}
        await self.post("/v1/model_registrations/LLM", model)
        shape = {
            "model_name": MODEL,
            "model_uid": MODEL,
            "model_engine": "transformers",
            "model_format": "pytorch",
            "model_size_in_billions": 1,
            "quantization": "none",
            "enable_virtual_env": False,
        }
        await self.post("/v1/models", shape)
        self.model_pid = self._model_pid(before)

    async def kill_model(self) -> None:
        """Kill the process of the model, and see that it is gone."""
        killed = psutil.Process(self.model_pid)
        os.kill(self.model_pid, signal.SIGKILL)
        with contextlib.suppress(psutil.NoSuchProcess):
            while killed.is_running() and killed.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS / 10)

    async def recovered(self, before: Mapping[int, float]) -> None:
        """Wait until the model answers again after it was killed."""
        asked = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
        async with asyncio.timeout(RECOVERY_SECONDS):
            while True:
                with contextlib.suppress(NotStarted, aiohttp.ClientError):
                    await self.post("/v1/chat/completions", asked)
                    break
                await asyncio.sleep(POLL_SECONDS)
        self.model_pid = self._model_pid(before)

    def descendants(self) -> dict[int, float]:
        """Its processes by id, with when they began: ids come again."""
        found = {}
        for each in psutil.Process(self.started.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found[each.pid] = each.create_time()
        return found

    def _model_pid(self, before: Mapping[int, float]) -> int:
        """The largest of the processes that are new."""
        new = dict(set(self.descendants().items()) - set(before.items()))
        sizes = {}
        for pid in new:
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes[pid] = psutil.Process(pid).memory_info().rss
        if not sizes:
            raise NotStarted(f"no process of the model was started:\n{self.started.said()}")
        return max(sizes, key=sizes.__getitem__)


def registration(checkpoint: Path) -> dict[str, Any]:
    """What Xinference has to know of a checkpoint of the user's own."""
    spec = {
        "model_format": "pytorch",
        "model_size_in_billions": 1,
        "quantization": "none",
        "model_id": None,
        "model_uri": str(checkpoint),
    }
    return {
        "version": 2,
        "model_name": MODEL,
        "model_lang": ["en", "zh"],
        "model_ability": ["chat", "tools"],
        "model_family": "qwen2-instruct",  # one of its own, where tools are to be read
        "context_length": CONTEXT_TOKENS,
        "model_specs": [spec],
        "chat_template": CHAT_TEMPLATE,
        "stop_token_ids": [],
        "stop": ["<|im_end|>"],
    }


@contextlib.asynccontextmanager
async def running_xinference(folder: Path, *, has_keys: bool = False) -> AsyncIterator[Xinference]:
    """The server with the model loaded, for the length of the block.

    Raises:
        NotStarted: it did not come up, or it listens beyond loopback.
    """
    python = python_for(ENVIRONMENT)
    checkpoint = await asyncio.to_thread(write_checkpoint, folder / "checkpoint")
    port = free_port()
    binary = python.parent / "xinference-local"
    command = (binary, "--host", LOOPBACK, "--port", str(port), "-MH", LOOPBACK)
    variables = {
        "XINFERENCE_HOME": str(folder / "home"),
        "XINFERENCE_AUTH_ADVANCED": "1" if has_keys else "0",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "NO_PROXY": LOOPBACK,
    }
    log = folder / "xinference.log"
    async with running(command, log, variables=variables) as started:
        server = Xinference(f"http://{LOOPBACK}:{port}", started)
        version = f"{server.url}/v1/cluster/version"
        await started.answers(version, limit_seconds=START_SECONDS)
        if has_keys:
            await server.sign_in()
        await server.launch(checkpoint)
        if elsewhere := listening_elsewhere(started.pid):
            raise NotStarted(f"xinference listens on {elsewhere}")
        yield server
