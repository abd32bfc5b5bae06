"""The server that a suite asks: a private one of what can run, or one that runs already."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trueup.cli.client import Answer, ChatClient
from trueup.cli.downloading import fetched
from trueup.cli.private_server import PrivateServer, PrivateServerEnded, private_server
from trueup.errors import AdaptError, BackendError, TrueUpError
from trueup.suite.service import MemoryUsed, Said
from trueup.worker.memory import private_bytes

CONFIG_FILE = "suite.yaml"
GREEDY = {"temperature": 0.0}


class ClientService:
    """Asks a server by a client of it (see `Service`).

    `own` are the names that models of a server of ours answer to. `is_here`: its processes are
    this machine's, so that their memory can be looked at now.
    """

    def __init__(
        self, client: ChatClient, *, own: Collection[str] = (), is_here: bool = False
    ) -> None:
        self._client = client
        self._own = own
        self._is_here = is_here

    async def client(self) -> ChatClient:
        """The client, of a server that runs."""
        return self._client

    async def answer(
        self, model: str, messages: Sequence[Mapping[str, str]], *, max_tokens: int
    ) -> Said:
        """A chat answer, greedy."""
        client = await self.client()
        options = {**GREEDY, "max_tokens": max_tokens}
        loop = asyncio.get_running_loop()
        answer, first, started = Answer(), None, loop.time()
        async for _ in client.stream(model, messages, answer, options):
            if first is None:
                first = loop.time() - started
        return Said(
            text=answer.content,
            seconds=loop.time() - started,
            first_seconds=first,
            finish_reason=answer.finish_reason,
        )

    async def complete(self, model: str, prompt: str, *, max_tokens: int) -> Said:
        """A text completion, greedy."""
        client = await self.client()
        loop = asyncio.get_running_loop()
        started = loop.time()
        options = {**GREEDY, "max_tokens": max_tokens}
        text, reason = await client.complete(model, prompt, options)
        seconds = loop.time() - started
        return Said(text=text, seconds=seconds, first_seconds=None, finish_reason=reason)

    async def embed(self, model: str, texts: Sequence[str]) -> list[bytes]:
        """A vector for each text; long ones by windows where the model is ours."""
        client = await self.client()
        options = {"windows": True} if model in self._own else {}
        vectors, _ = await client.embeddings(model, texts, options)
        return vectors

    async def forecast(self, model: str, candles: Mapping[str, Any]) -> int:
        """One sampled bar."""
        client = await self.client()
        asked = {"model": model, "series": [candles], "horizon": 1, "samples": 1, "quantiles": []}
        return await client.forecast_bars(asked)

    async def memory(self, model: str) -> MemoryUsed | None:
        """What the model's worker holds."""
        if model not in self._own:
            return None
        rows = await (await self.client()).processes()
        row = next((each for each in rows if each.get("id") == model), None)
        if row is None or row.get("state") != "ready":
            return None
        host, process = row.get("memory_bytes"), row.get("pid")
        if self._is_here and process is not None:
            host = private_bytes(process) or host
        return MemoryUsed(host_private_bytes=host, device_bytes=row.get("device_bytes"))


class PrivateService(ClientService):
    """Asks a private server; one that has ended is started anew by the next question."""

    def __init__(self, served: Mapping[str, Any], stack: contextlib.AsyncExitStack) -> None:
        self._served = served
        self._outer = stack
        self._open: contextlib.AsyncExitStack | None = None
        self._server: PrivateServer | None = None
        self._config: Path | None = None
        self._fault: TrueUpError | None = None
        models = served.get("models", {})
        self._own = own_names(models, served.get("roles", {}))
        self._is_here = True

    async def client(self) -> ChatClient:
        """The client of a server that runs.

        Raises:
            BackendError: it does not start.
            CheckpointError: a model cannot be downloaded.
        """
        if self._server is not None and self._server.process.returncode is None:
            return self._client
        if self._fault is not None:
            raise self._fault
        if self._open is not None:
            await self._open.aclose()
        own = self._open = contextlib.AsyncExitStack()
        try:
            for model in self._served.get("models", {}).values():
                await fetched(str(model["source"]), model.get("revision"))
            config = self._written()
            words = ["--config", str(config), "--host", "127.0.0.1"]
            self._server = await own.enter_async_context(private_server(words))
        except PrivateServerEnded:
            self._fault = BackendError(
                "the private server did not start, and has said why on stderr", retryable=False
            )
            raise self._fault from None
        except TrueUpError as error:
            self._fault = error
            raise
        client = ChatClient(self._server.url, api_key=self._server.api_key)
        self._client = await own.enter_async_context(client)
        return self._client

    async def close(self) -> None:
        """End the server."""
        if self._open is not None:
            await self._open.aclose()

    def _written(self) -> Path:
        """The configuration as a file, once, in a folder of this user alone."""
        if self._config is None:
            from trueup.config.show import yaml_text

            folder = self._outer.enter_context(tempfile.TemporaryDirectory(prefix="trueup-suite-"))
            self._config = Path(folder, CONFIG_FILE)
            tree = {"config_version": 1, **{k: v for k, v in self._served.items() if v}}
            self._config.write_text(yaml_text(tree), encoding="utf-8")
        return self._config


def own_names(models: Iterable[str], roles: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The names of models, and of roles that have nobody else in their chains."""
    known = set(models)
    return known | {name for name, role in roles.items() if known.issuperset(role["chain"])}


class NoService:
    """Stands in where nothing that can run is left."""

    async def answer(
        self, model: str, messages: Sequence[Mapping[str, str]], *, max_tokens: int
    ) -> Said:
        """Nothing answers."""
        raise _nothing(model)

    async def complete(self, model: str, prompt: str, *, max_tokens: int) -> Said:
        """Nothing answers."""
        raise _nothing(model)

    async def embed(self, model: str, texts: Sequence[str]) -> list[bytes]:
        """Nothing answers."""
        raise _nothing(model)

    async def forecast(self, model: str, candles: Mapping[str, Any]) -> int:
        """Nothing answers."""
        raise _nothing(model)

    async def memory(self, model: str) -> MemoryUsed | None:
        """Nothing is loaded."""
        return None


def _nothing(model: str) -> TrueUpError:
    return AdaptError(f"nothing that can run is left to answer for `{model}`")


@contextlib.asynccontextmanager
async def private_service(served: Mapping[str, Any]) -> AsyncIterator[PrivateService]:
    """A service of a private server with this configuration.

    Where it does not start, every question is answered with the reason.
    """
    async with contextlib.AsyncExitStack() as stack:
        service = PrivateService(served, stack)
        try:
            with contextlib.suppress(TrueUpError):  # else its start would be the first load's time
                await service.client()
            yield service
        finally:
            await service.close()
