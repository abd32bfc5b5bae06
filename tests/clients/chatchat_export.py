"""Langchain-Chatchat with what `trueup config export chatchat` prints, and a key in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.checkpoints.encoders import build_encoder
from tests.clients.chatchat_asking import COMPLETE, Seen, agent_models, judge
from tests.clients.chatchat_rows import Asking, Door, Row
from tests.clients.chatchat_run import KEY, LIMIT_SECONDS, PROFILE
from tests.clients.chatchat_server import running_chatchat
from tests.clients.table import Cell, Table
from tests.faults.cases import FAULTS
from tests.faults.gateways import LIMITS, running_gateway
from tests.faults.raw import ask_raw
from tests.faults.server import FaultServer

TALKER, EMBEDDER = "talker", "embedder"
AGENT = f"glm3-{TALKER}"
# A harmless one: its rows are judged by the right answer.
HARMLESS = "null-deltas"
DUE = frozenset({COMPLETE})
# The earlier version has no such path.
EMBEDS = ("0.3.1.3",)


async def run_exported(version: str, folder: Path, only: Sequence[str]) -> list[Table]:
    """It starts with the exported block, and is answered at its doors."""
    table = Table(f"Langchain-Chatchat {version}, as exported", ["with us"])
    encoder = await asyncio.to_thread(build_encoder, "roberta", folder / "encoder")
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(FaultServer(is_healthy=True).listening())
        (folder / "gateway").mkdir()
        shape = configuration(server.url, encoder)
        gateway = await stack.enter_async_context(running_gateway(shape, folder / "gateway"))
        settings = await _exported(gateway)
        url = await stack.enter_async_context(
            running_chatchat(version, settings, folder / "chatchat")
        )
        doors: tuple[tuple[Door, str], ...] = (("plain", TALKER), ("v1", TALKER), ("glm3", AGENT))
        for door, model in doors:
            seen = await _ask(url, door, model)
            table.add(door, Cell(seen.verdict, seen.reason, DUE))
        if version in EMBEDS:
            heard = await ask_raw(
                url,
                "/v1/embeddings",
                {"model": EMBEDDER, "input": ["one"]},
                limit_seconds=LIMIT_SECONDS,
            )
            is_right = heard.status == 200 and bool(json.loads(heard.body)["data"][0]["embedding"])
            told = heard.body[:200].decode(errors="replace")
            table.add("embeddings", Cell(COMPLETE if is_right else "wrong", told, DUE))
    return [table]


def configuration(url: str, encoder: Path) -> dict[str, Any]:
    """The gateway's: a chat backend with the alias that agents need, and an encoder of ours."""
    return {
        "config_version": 1,
        "server": {"api_keys": [{"key": KEY, "name": "chatchat", "profile": PROFILE}]},
        "models": {EMBEDDER: {"source": str(encoder), "kind": "embedding"}},
        "backends": {TALKER: {"url": url, "model": "test", "limits": dict(LIMITS)}},
        "aliases": {AGENT: TALKER},
    }


async def _exported(gateway: str) -> dict[str, Any]:
    """What the running gateway's block says, with the key in its place."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "trueup", "config", "export", "chatchat", "--url", gateway),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TRUEUP_API_KEY": KEY},
    )
    block, _ = await process.communicate()
    assert process.returncode == 0
    settings: dict[str, Any] = YAML(typ="safe").load(block.decode().replace("THE-KEY", KEY))
    return settings


async def _ask(url: str, door: Door, model: str) -> Seen:
    case = next(each for each in FAULTS[HARMLESS].cases if each.is_stream)
    asking = Asking(Row(cause="as exported", fault=HARMLESS), door, case)
    messages = [{"role": "user", "content": "Say the sentence."}]
    shape: dict[str, Any] = {"model": model, "messages": messages, "stream": True}
    path = "/v1/chat/completions" if door == "v1" else "/chat/chat/completions"
    if asking.is_agent:
        shape |= {"tools": ["calculate"], "chat_model_config": agent_models(model)}
    else:
        shape |= asking.shape
    return judge(await ask_raw(url, path, shape, limit_seconds=LIMIT_SECONDS), asking)
