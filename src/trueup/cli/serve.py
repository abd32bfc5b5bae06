"""`trueup serve`: listen first, plan meanwhile, load when somebody asks."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.downloading import DownloadLine
from trueup.cli.roles import check_roles, served_names
from trueup.cli.serve_plans import check_ready, plan_models, refusals
from trueup.cli.settings import CONFIG_VARIABLE, settings_of
from trueup.config.servers import RunningServer, registered
from trueup.config.settings import DEFAULT_PORT, Settings
from trueup.doctor.time_limit import Stoppable, Stopped
from trueup.errors import AdaptError, CapacityError, TrueUpError
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.server import Server, collecting_rarely, listen, raise_file_limit, url_of
from trueup.gateway.serving import Serving

if TYPE_CHECKING:
    from trueup.adapt.plan import Plan
    from trueup.backends.registry import OpenedBackend
    from trueup.pool.pool import Pool

EXAMPLE = """  trueup serve
  trueup serve ./chatglm2-6b org/other-model --port 8000
  trueup serve --backend xin=http://127.0.0.1:9997,preset=xinference
  trueup serve --config trueup.yaml --preload"""
EXIT_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup serve` takes."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="directories or hub ids (default: demo)"
    )
    parser.add_argument(
        "--backend",
        action="append",
        dest="backends",
        metavar="NAME=URL",
        help="a server of others to serve as NAME, again for more; after the URL may follow "
        "`,preset=vllm`, `,model=NAME-THERE`, `,kind=embedding`, `,api_key_env=VARIABLE`",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"server and models, as YAML ({CONFIG_VARIABLE})",
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help=f"0 takes a free one (default: {DEFAULT_PORT})")
    parser.add_argument("--preload", action="store_true", help="load now, not at the first request")
    parser.add_argument(
        "--require-proof",
        action="store_true",
        help="serve only models that `trueup verify` has proven",
    )
    parser.add_argument("--drain-seconds", type=float, metavar="S", help="to finish answers at end")
    for name, text in (
        ("route", "auto, native, fixed or isolated"),
        ("dtype", "auto, float32, bfloat16, float16, or int8 (embeddings)"),
        ("device", "auto, cpu, cuda or cuda:N"),
        ("kind", "auto, chat, completion, embedding or forecast"),
        ("pooling", "auto, mean, cls or last (embeddings)"),
        ("tokenizer", "a directory or hub id (forecasts)"),
    ):
        parser.add_argument(f"--{name}", help=f"of the MODELs: {text}")
    parser.add_argument(
        "--isolated-python",
        dest="python",
        metavar="PATH",
        help="of the MODELs: an environment that the route isolated takes",
    )
    parser.add_argument("--revision", help="of a single MODEL: commit, tag or branch of its hub id")
    parser.add_argument("--context-tokens", type=int, metavar="N", help="limit of the MODELs")
    parser.add_argument("--ttl-seconds", type=float, metavar="S", help="idle MODELs are unloaded")
    parser.add_argument("--quiet", action="store_true", help="no access log, no greeting")
    # Of the server that a command starts for itself: whoever asks it is who runs it.
    parser.add_argument("--private", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it; 130 after an interrupt."""
    settings = settings_of(arguments, os.environ)
    server = settings.server
    access = Access(
        server.api_keys,
        {profile.name: profile for profile in settings.profiles},
        cors_origins=server.cors_origins,
        is_strict=server.is_strict,
    )
    access.check_host(server.host)
    raise_file_limit()
    with contextlib.closing(listen(server.host, server.port)) as listener:
        return asyncio.run(_Serve(arguments, settings, access, listener).run())


class _Serve:
    """One run of the server."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        settings: Settings,
        access: Access,
        listener: socket.socket,
    ) -> None:
        self._arguments = arguments
        self._settings = settings
        self._listener = listener
        self._url = url_of(listener)  # now: the server closes the socket when it ends
        self._serving = Serving()
        log = None if arguments.quiet else sys.stderr
        gateway = Gateway(self._serving, access, log=log, settings=settings.server)
        self._server = Server(
            gateway,
            drain_seconds=settings.server.drain_seconds,
            say=None if arguments.quiet else _say,
        )

    async def run(self) -> int:
        async with contextlib.AsyncExitStack() as stack:
            ended = await stack.enter_async_context(self._server.running(self._listener))
            plans, refused = await self._plan(ended)
            if ended.done():
                return self._status()
            pool, backends = self._open()
            pool.start()
            stack.push_async_callback(self._stop_serving, ended, pool, backends)
            await self._serve(plans, refused, pool, backends)
            if ended.done():
                return self._status()
            able = [name for name in plans if name not in refused]
            served = (*plans, *(each.name for each in backends))
            known = (*served, *(each.name for each in self._settings.further_names))
            found = RunningServer(
                url=self._url,
                pid=os.getpid(),
                models=known,
                is_private=self._arguments.private,
            )
            stack.enter_context(registered(found))
            await self._greet(known, refused, backends)
            preload = asyncio.create_task(self._get_ready(pool, able, backends))
            with collecting_rarely():
                await asyncio.wait((ended,))
            preload.cancel()
            await asyncio.wait((preload,))
        return self._status()

    def _status(self) -> int:
        return EXIT_INTERRUPTED if self._server.ended_by is signal.SIGINT else 0

    async def _plan(
        self, ended: asyncio.Task[None]
    ) -> tuple[dict[str, Plan], dict[str, AdaptError]]:
        """The plans; nothing where a signal ended the server meanwhile."""
        put_off = partial(self._put_off, asyncio.get_running_loop())
        watch, looking = DownloadLine(put_off), Stoppable()
        builds = partial(_say_and, put_off) if self._arguments.preload else None
        plan = partial(plan_models, self._settings.models, watch, builds=builds)
        planning = asyncio.create_task(asyncio.to_thread(looking.run, plan))
        await asyncio.wait((planning, ended), return_when=asyncio.FIRST_COMPLETED)
        watch.stop.set()
        if ended.done():
            looking.stop()
        try:
            plans = await planning
            if self._arguments.private:
                await asyncio.to_thread(check_ready, self._settings.models, plans)
            refused = refusals(self._settings, plans)
            kinds = {name: plan.kind for name, plan in plans.items()}
            check_roles(self._settings, kinds, refused)
            return plans, refused
        except (TrueUpError, Stopped) as error:
            if ended.done():
                return {}, {}
            if isinstance(error, TrueUpError):
                self._serving.router.fail(error)
            raise

    def _put_off(self, loop: asyncio.AbstractEventLoop, line: str) -> None:
        """A download or an environment is on its way, which takes longer than clients wait."""
        later = CapacityError(
            f"the models are not served yet: {line}", code="starting", retry_after_seconds=5.0
        )
        loop.call_soon_threadsafe(self._serving.router.put_off, later)

    async def _stop_serving(
        self,
        ended: asyncio.Task[None],
        pool: Pool,
        backends: Sequence[OpenedBackend],
    ) -> None:
        # Answers first: a worker that ended under them would break them off.
        self._server.stop()
        await asyncio.wait((ended,))
        await pool.close()
        for each in backends:
            await each.close()

    def _open(self) -> tuple[Pool, list[OpenedBackend]]:
        # Imported now: /health answers already.
        from trueup.cli.serve_backends import open_backends
        from trueup.pool.pool import Pool

        try:
            return Pool(is_private=self._arguments.private), open_backends(self._settings, _say)
        except TrueUpError as error:
            self._serving.router.fail(error)
            raise

    async def _serve(
        self,
        plans: Mapping[str, Plan],
        refused: Mapping[str, AdaptError],
        pool: Pool,
        backends: Sequence[OpenedBackend],
    ) -> None:
        from trueup.cli.serve_backends import first_look, served_backends, served_models

        await first_look(backends)
        served = [
            *served_models(self._settings, plans, refused, pool),
            *served_backends(self._settings, backends),
        ]
        self._serving.router.open(*served, roles=served_names(self._settings, served))

    async def _get_ready(
        self, pool: Pool, names: Sequence[str], backends: Sequence[OpenedBackend]
    ) -> None:
        if not self._arguments.preload:
            self._serving.is_ready = True
            if names:
                pool.warm_up()
            return
        for name in names:
            try:
                async with pool.lease(name):
                    pass
            except TrueUpError as error:
                _say(f"`{name}` was not loaded: {error.cause}")
        for each in backends:
            try:
                await each.load()
            except TrueUpError as error:
                _say(f"`{each.name}` was not loaded: {error.cause}")
        self._serving.is_ready = True

    async def _greet(
        self,
        names: Sequence[str],
        refused: Mapping[str, AdaptError],
        backends: Sequence[OpenedBackend],
    ) -> None:
        from trueup.cli.serve_backends import lines_on

        if self._arguments.format == "json":
            said = {"schema_version": 1, "url": self._url, "pid": os.getpid(), "models": names}
            print(json.dumps(said), flush=True)
        for error in refused.values():
            _say(f"warning: {error.cause}\n{error.hint}")
        if self._arguments.quiet:
            return
        able = ", ".join(f"`{name}`" for name in names if name not in refused)
        _say(f"TrueUp serves {able} at {self._url}/v1")
        for line in await lines_on(backends):
            _say(line)
        models = self._settings.models
        if models and not self._arguments.models and not models[0].places:
            _say("no MODEL was named: this is the small demo model that comes with TrueUp")
        if not self._settings.server.api_keys:
            _say("no key is set: only programs of this machine are answered")


def _say_and(tell: Callable[[str], None], line: str) -> None:
    _say(line)
    tell(line)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
