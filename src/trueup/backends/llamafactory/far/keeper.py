"""The keeper: owns the model's process, holds a lease, and lets clients come and go.

One process, one event loop. Clients reach it on a Unix socket in its directory. When no client has
said anything for as long as its lease, it ends, and the model with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from typing import Any

from .answers import Answer, Answers
from .client import Client
from .directory import SOCKET, log_tail
from .lines import MAX_LINE_BYTES, Message, message_of
from .memory import memory_bytes
from .model_process import ModelProcess, own_file

TURN_SECONDS = 1.0
DEFAULT_LEASE_SECONDS = 120.0
# A cancelled answer has so long for its next token, where nothing else is said.
HUNG_SECONDS = 60.0


def run_keeper(directory: str, spec: dict[str, Any], *, ready: int) -> int:
    """Keep until the lease runs out or a client unloads it; `ready` is told when it listens."""
    own_file()
    os.chdir(directory)
    asyncio.run(_kept(spec, ready))
    return 0


async def _kept(spec: Message, ready: int) -> None:
    await Keeper(spec).run(ready)


class Keeper:
    """One worker: its model's process, its answers, its clients; made in its event loop."""

    def __init__(self, spec: Message) -> None:
        self._spec = spec
        self._hung_seconds = float(spec.get("hung_seconds") or HUNG_SECONDS)
        self._clients: set[Client] = set()
        # When each client's lease runs out.
        self._leases: dict[str, float] = {
            "": time.monotonic() + float(spec.get("lease_seconds", DEFAULT_LEASE_SECONDS))
        }
        self._answers = Answers()
        self._model: ModelProcess | None = None
        self._serving: set[asyncio.Future[None]] = set()
        self._runs: dict[asyncio.Task[None], ModelProcess] = {}
        self._state: Message = {"event": "state", "state": "stopped"}
        self._concurrent = 1
        self._server: asyncio.AbstractServer | None = None
        self._is_over = asyncio.Event()

    async def run(self, ready: int) -> None:
        """Serve until it is over."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)
        self._server = await asyncio.start_unix_server(
            self._accept, path=SOCKET, limit=MAX_LINE_BYTES
        )
        os.write(ready, b"ready")
        os.close(ready)
        clock = asyncio.ensure_future(self._watch_leases())
        await self._is_over.wait()
        clock.cancel()
        await self._end_models()
        for client in self._clients:
            client.writer.close()  # whoever unloaded it waits for this
        if self._serving:
            await asyncio.wait(self._serving, timeout=TURN_SECONDS)

    def _end(self, why: str) -> None:
        """Let nobody in from now on: whoever comes finds that it is to be started."""
        self._say(f"{why}: ending")
        self._is_over.set()
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)

    async def _end_models(self) -> None:
        """Every process that had the model is gone when this returns; nobody is told."""
        self._model = None
        for model in self._runs.values():
            model.end()
        if self._runs:
            _, late = await asyncio.wait(list(self._runs), timeout=TURN_SECONDS)
            for task in late:
                self._runs[task].kill()
            if late:
                await asyncio.wait(late)

    async def _watch_leases(self) -> None:
        while True:
            now = time.monotonic()
            self._leases = {name: end for name, end in self._leases.items() if end > now}
            self._answers.forget_old(now)
            if not self._leases:
                self._end("no client has been here for as long as the lease")
                return
            await asyncio.sleep(min(TURN_SECONDS, max(0.01, min(self._leases.values()) - now)))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(writer)
        self._clients.add(client)
        lease_seconds = DEFAULT_LEASE_SECONDS
        try:
            with contextlib.suppress(ValueError, OSError):
                while line := await reader.readline():
                    message = message_of(line)
                    if self._is_over.is_set() and not client.name:
                        return  # who was let in before waits for the end
                    if message is None or self._is_over.is_set():
                        continue
                    if message.get("op") == "hello":
                        lease_seconds = float(message["lease_seconds"])
                        client.name = str(message["client"])
                        self._leases.pop("", None)
                    if client.name:
                        self._leases[client.name] = time.monotonic() + lease_seconds
                    self._do(client, message)
                    await writer.drain()
        finally:
            self._clients.discard(client)
            writer.close()

    def _do(self, client: Client, message: Message) -> None:
        op = message.get("op")
        if op == "hello":
            client.send(self._state)
            if self._state["state"] == "stopped":  # so that all of a load is told
                self._load()
        elif op == "load" and self._model is None:
            self._load()
        elif op == "chat":
            self._chat(client, message)
        elif op == "resume":
            self._resume(client, message)
        elif op == "cancel":
            self._cancel(message)
        elif op == "done":
            self._answers.forget(message.get("id"))
            client.follows.discard(str(message.get("id")))
            client.send({"event": "forgotten", "id": message.get("id")})
        elif op == "ping":
            pid = self._model.pid if self._model is not None else None
            client.send({"event": "pong", "memory_bytes": memory_bytes(pid)})
        elif op == "unload":
            self._unload(client)

    def _chat(self, client: Client, message: Message) -> None:
        if self._answers.get(message.get("id")) is not None:  # sent twice, by two connections
            self._resume(client, message)
            return
        answer = Answer(message)
        self._answers.add(answer)
        client.follows.add(answer.id)
        if self._model is None:
            self._load()
        self._next()
        if not answer.is_running:
            position = len(list(self._answers.waiting()))
            client.send({"event": "queued", "id": answer.id, "position": position})

    def _resume(self, client: Client, message: Message) -> None:
        answer = self._answers.get(message.get("id"))
        if answer is None or answer.is_unwanted:
            client.send({"event": "gone", "id": message.get("id")})
            return
        client.follows.add(answer.id)
        for event in answer.after(int(message.get("after", 0))):
            client.send(event)

    def _cancel(self, message: Message) -> None:
        answer = self._answers.get(message.get("id"))
        if answer is None or answer.over_at is not None:
            return
        if answer.is_running and self._model is not None:
            self._model.send({"op": "cancel", "id": answer.id})
            loop = asyncio.get_running_loop()
            loop.call_later(self._hung_seconds, self._end_hung, self._model, answer)
        else:
            self._tell(answer, {"event": "end", "finish_reason": "cancelled"})

    def _end_hung(self, model: ModelProcess, answer: Answer) -> None:
        """An answer is cancelled between two tokens; where no token comes, nothing else helps."""
        if answer.is_running:
            self._failed(model, {"type": "Hung", "message": "", "seconds": self._hung_seconds})

    def _unload(self, client: Client) -> None:
        """One client less; the last one takes the model with it."""
        self._leases.pop(client.name, None)
        if self._leases:
            client.writer.close()
        else:
            self._end("the last client has unloaded it")

    def _load(self) -> None:
        model = self._model = ModelProcess(self._spec, self._told)
        self._set_state({"state": "loading", "stage": "starting"})
        task = asyncio.ensure_future(self._run(model))
        self._runs[task] = model
        task.add_done_callback(self._runs.pop)

    async def _run(self, model: ModelProcess) -> None:
        try:
            status = await model.run()
        except OSError as error:  # the working directory is gone, or there is no memory
            self._failed(model, {"type": type(error).__name__, "message": str(error)})
        else:
            self._failed(model, {"type": "WorkerEnded", "status": status, "message": ""})

    def _told(self, model: ModelProcess, message: Message) -> None:
        """Something from the model's process."""
        if model is not self._model:
            return
        event = message.pop("event", None)
        if event == "state":
            self._concurrent = int(message.get("concurrent", self._concurrent))
            model.pid = message.get("pid", model.pid)
            if message.get("state") == "failed":
                self._failed(model, message["error"])
                return
            self._set_state(message)
            self._next()
            return
        answer = self._answers.get(message.get("id"))
        if answer is not None and answer.over_at is None:
            self._tell(answer, {"event": event, **message})
            if answer.over_at is not None:
                self._next()

    def _failed(self, model: ModelProcess, error: Message) -> None:
        """There is no model: whoever waits for it is told; the next request loads it anew."""
        if model is not self._model:
            return
        model.end()
        self._model, self._concurrent = None, 1
        error.setdefault("log", log_tail("."))
        self._set_state({"state": "failed", "error": error})
        for answer in self._answers.open():
            self._tell(answer, {**error, "event": "error"})

    def _set_state(self, state: Message) -> None:
        pid = self._model.pid if self._model is not None else None
        memory = {"memory_bytes": memory_bytes(pid)}
        self._state = {"event": "state", "pid": pid, **memory, **state}
        for client in self._clients:
            if client.name:  # it has said hello, and got the first one
                client.send(self._state)

    def _next(self) -> None:
        """Give turns, as many as the engine takes at a time."""
        if self._model is None or self._state["state"] != "ready":
            return
        for answer in list(self._answers.waiting()):
            if self._answers.running() >= self._concurrent:
                return
            answer.is_running = True
            self._tell(answer, {"event": "started"})
            self._model.send(answer.request)

    def _tell(self, answer: Answer, event: Message) -> None:
        numbered = answer.add(event, time.monotonic())
        for client in self._clients:
            if answer.id in client.follows:
                client.send(numbered)
        if answer.is_unwanted:
            self._answers.forget(answer.id)

    def _say(self, what: str) -> None:
        sys.stderr.write(f"keeper {os.getpid()}: {what}\n")
        sys.stderr.flush()
