"""The listening process: one socket, one uvicorn server, and how it ends.

It binds before anything is planned, so that /health answers at once. SIGTERM and SIGINT let
running answers finish for a while; a second signal does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Generator, Iterator

import uvicorn

from trueup.errors import ConfigError
from trueup.gateway.app import Gateway
from trueup.gateway.http import IDLE_SECONDS, Protocol

BACKLOG = 1024
# After the answers were told to end: enough for their last event, not for a reader that hangs.
FAREWELL_SECONDS = 2.0
# New objects until the collector looks at them.
YOUNG_OBJECTS = 20_000


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the address cannot be had; says who has it where that is known.
    """
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(
            f"the host `{host}` cannot be resolved: {error.strerror or error}", where=where
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _cannot_bind(error, host, port) from error
    return listener


def raise_file_limit() -> None:
    """Take as many file descriptors as this user may have: a stream holds two of them.

    The usual soft limit of 1,024 is there for programs that use `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def collecting_rarely() -> Iterator[None]:
    """Have the garbage collector pass over what was built until here, and look less often.

    Requests leave few cycles behind; looking for them through all modules is a tenth of the CPU
    time of a small request.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def url_of(listener: socket.socket) -> str:
    """The URL that a client on this machine uses."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn with our own way of ending; `ended_by` is the signal that ended it.

    `say` gets the line for the operator whose signal has to wait for answers.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        drain_seconds: float,
        say: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                gateway,
                http=Protocol,
                h11_max_incomplete_event_size=gateway.settings.max_header_bytes,
                timeout_keep_alive=IDLE_SECONDS,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
        )
        self.ended_by: signal.Signals | None = None
        self._is_listening = asyncio.Event()
        self._gateway = gateway
        self._drain_seconds = drain_seconds
        self._say = say

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: `handle_signals` of ours does it on the event loop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take up the socket."""
        await super().startup(sockets)
        self._is_listening.set()

    @contextlib.asynccontextmanager
    async def running(self, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
        """Serve for the length of the block, then drain; yields the task that serves."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, self._on_signal, each)
        task = asyncio.create_task(self._serve_watched(listener))
        try:
            await asyncio.wait(
                (task, asyncio.ensure_future(self._is_listening.wait())),
                return_when=asyncio.FIRST_COMPLETED,
            )
            yield task
        finally:
            self.stop()
            try:
                await asyncio.wait((task,))
            finally:
                for each in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(each)

    async def _serve_watched(self, listener: socket.socket) -> None:
        with self._gateway.watching():
            await self.serve(sockets=[listener])

    def _on_signal(self, received: signal.Signals) -> None:
        if self.ended_by is None:
            self.ended_by = received
            self._tell_wait()
            self.stop()
        else:
            self._hurry()

    def _tell_wait(self) -> None:
        count = len(self._gateway.serving.answering)
        if self._say and count:
            answers = "1 answer" if count == 1 else f"{count} answers"
            seconds = f"{self._drain_seconds:g} s"
            self._say(f"finishing {answers}, up to {seconds}; Ctrl-C again stops at once")

    def stop(self) -> None:
        """Take no more requests, drain, and let `running` end; a second call changes nothing."""
        if self.should_exit:
            return
        self.should_exit = True
        asyncio.get_running_loop().call_later(self._drain_seconds, self._hurry)

    def _hurry(self) -> None:
        """Tell the clients that still wait that it is over, then leave."""
        self._gateway.serving.stop_answers()
        asyncio.get_running_loop().call_later(FAREWELL_SECONDS, self._leave)

    def _leave(self) -> None:
        self.force_exit = True
        # Python >= 3.12 waits for the connections of a closed server: a hung reader's too.
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()


def _cannot_bind(error: OSError, host: str, port: int) -> ConfigError:
    where = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        owner = _owner(port)
        return ConfigError(
            f"port {port} is in use" + (f" by {owner}" if owner else ""),
            where=where,
            hint="choose another: --port 0 takes a free one",
        )
    if error.errno == errno.EACCES:
        return ConfigError(
            f"port {port} needs privileges that this user lacks",
            where=where,
            hint="choose a port above 1023",
        )
    return ConfigError(f"the address cannot be had: {error.strerror}", where=where)


def _owner(port: int) -> str | None:
    """Who listens on the port, where this user may see that."""
    import psutil  # type: ignore[import-untyped]  # only when something is wrong already

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                if connection.pid is None:
                    return None
                return f"`{psutil.Process(connection.pid).name()}` (pid {connection.pid})"
    return None
