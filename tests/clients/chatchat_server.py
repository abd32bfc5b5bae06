"""Langchain-Chatchat as its users start it: `chatchat init`, its files edited, `chatchat start`.

Only its API is started, on loopback; its folder is temporary.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.processes import NotStarted, free_port, listening_elsewhere, run_once, running
from tests.environments import python_for

VERSIONS = ("0.3.1", "0.3.1.3")
LOOPBACK = "127.0.0.1"
INIT_SECONDS = 120.0
START_SECONDS = 120.0
# Of one model; the default is 5, and every row has models of its own.
CONCURRENCY = 5
EMBEDDING_MODEL = "embedding"  # without any it does not start


@dataclass(frozen=True)
class Platform:
    """A row of MODEL_PLATFORMS: where it asks for these models, and with which key."""

    name: str
    url: str
    models: Sequence[str]
    api_key: str = "EMPTY"

    def as_dict(self) -> dict[str, Any]:
        return {
            "platform_name": self.name,
            "platform_type": "openai",
            "api_base_url": self.url,
            "api_key": self.api_key,
            "api_concurrencies": CONCURRENCY,
            "llm_models": list(self.models),
            "embed_models": [EMBEDDING_MODEL],
        }


def settings_of(platforms: Sequence[Platform]) -> dict[str, Any]:
    """What model_settings.yaml says of platforms."""
    return {
        "DEFAULT_LLM_MODEL": platforms[0].models[0],
        "DEFAULT_EMBEDDING_MODEL": EMBEDDING_MODEL,
        "MODEL_PLATFORMS": [each.as_dict() for each in platforms],
    }


@contextlib.asynccontextmanager
async def running_chatchat(
    version: str, settings: Mapping[str, Any], folder: Path
) -> AsyncIterator[str]:
    """The base URL of its API for the length of the block; `folder` becomes its data folder.

    `settings` are keys of its model_settings.yaml.

    Raises:
        NotStarted: it did not come up, or it listens beyond loopback.
    """
    chatchat = python_for(f"client-chatchat-{version}").parent / "chatchat"
    await asyncio.to_thread(folder.mkdir)
    variables = {
        "CHATCHAT_ROOT": str(folder),
        "HF_HUB_OFFLINE": "1",
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
    }
    await run_once(
        (chatchat, "init"), folder / "init.log", variables=variables, limit_seconds=INIT_SECONDS
    )
    port = free_port()
    _bind(folder / "basic_settings.yaml", port)
    _edit(folder / "model_settings.yaml", settings)
    url = f"http://{LOOPBACK}:{port}"
    start = (chatchat, "start", "--api")
    log = folder / "start.log"
    async with running(start, log, variables=variables, folder=folder) as started:
        await started.answers(f"{url}/docs", limit_seconds=START_SECONDS)
        if elsewhere := listening_elsewhere(started.pid):
            raise NotStarted(f"chatchat listens on {elsewhere}")
        yield url


def _bind(path: Path, port: int) -> None:
    """Loopback alone, before the first start: some versions take every address by default."""
    api = {"host": LOOPBACK, "port": port, "public_host": LOOPBACK, "public_port": port}
    web = {"host": LOOPBACK, "port": free_port()}
    _edit(path, {"DEFAULT_BIND_HOST": LOOPBACK, "API_SERVER": api, "WEBUI_SERVER": web})


def _edit(path: Path, changes: Mapping[str, Any]) -> None:
    """Replace top keys of a YAML file; comments and the rest stay."""
    from ruamel.yaml import YAML

    yaml = YAML()
    shape = yaml.load(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        known = shape.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            known.update({key: each for key, each in value.items() if key in known})
        else:
            shape[name] = value
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(shape, file)
