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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli.roles import check_roles, served_names
from trueup.cli.settings import CONFIG_VARIABLE, WISHES, flag_of, settings_of
from trueup.config.servers import RunningServer, registered
from trueup.config.settings import DEFAULT_PORT, ModelSettings, Settings
from trueup.errors import AdaptError, CheckpointError, ConfigError, TrueUpError, UsageError
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.router import Served
from trueup.gateway.server import Server, listen, url_of
from trueup.gateway.serving import Serving

if TYPE_CHECKING:
    from trueup.adapt.plan import Plan
    from trueup.pool.pool import Pool

EXAMPLE = """  trueup serve
  trueup serve ./chatglm2-6b org/other-model --port 8000
  trueup serve --config trueup.yaml --preload"""
EXIT_INTERRUPTED = 130
# Requests that an embedding worker has at the same time; more wait in the pool's queue.
EMBEDDING_LEASES = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `trueup serve` takes."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="directories or hub ids (default: demo)"
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
    parser.add_argument("--drain-seconds", type=float, metavar="S", help="to finish answers at end")
    for name, text in (
        ("route", "auto or native; fixed and isolated are refused in this version"),
        ("dtype", "auto, float32, bfloat16, float16, or int8 (embeddings)"),
        ("device", "auto, cpu, cuda or cuda:N"),
        ("kind", "auto, chat, completion or embedding"),
        ("pooling", "auto, mean, cls or last (embeddings)"),
    ):
        parser.add_argument(f"--{name}", help=f"of the MODELs: {text}")
    parser.add_argument("--revision", help="of a single MODEL: commit, tag or branch of its hub id")
    parser.add_argument("--context-tokens", type=int, metavar="N", help="limit of the MODELs")
    parser.add_argument("--ttl-seconds", type=float, metavar="S", help="idle MODELs are unloaded")
    parser.add_argument("--quiet", action="store_true", help="no access log, no greeting")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it; 130 after an interrupt."""
    settings = settings_of(arguments, os.environ)
    server = settings.server
    access = Access(server.api_keys)
    access.check_host(server.host)
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
        gateway = Gateway(self._serving, access, log=log)
        self._server = Server(
            gateway,
            drain_seconds=settings.server.drain_seconds,
            say=None if arguments.quiet else _say,
        )

    async def run(self) -> int:
        async with contextlib.AsyncExitStack() as stack:
            ended = await stack.enter_async_context(self._server.running(self._listener))
            plans = await self._plan()
            pool = self._open(plans)
            pool.start()
            stack.push_async_callback(self._stop_serving, ended, pool)
            names = tuple(plans)
            if ended.done():
                return self._status()
            known = (*names, *(each.name for each in self._settings.further_names))
            found = RunningServer(url=self._url, pid=os.getpid(), models=known)
            stack.enter_context(registered(found))
            self._greet(known)
            preload = asyncio.create_task(self._get_ready(pool, names))
            await asyncio.wait((ended,))
            preload.cancel()
            await asyncio.wait((preload,))
        return self._status()

    def _status(self) -> int:
        return EXIT_INTERRUPTED if self._server.ended_by is signal.SIGINT else 0

    async def _plan(self) -> dict[str, Plan]:
        try:
            plans = await asyncio.to_thread(plan_models, self._settings.models)
            check_roles(self._settings, {name: plan.kind for name, plan in plans.items()})
            return plans
        except TrueUpError as error:
            self._serving.router.fail(error)
            raise

    async def _stop_serving(self, ended: asyncio.Task[None], pool: Pool) -> None:
        # Answers first: a worker that ended under them would break them off.
        self._server.stop()
        await asyncio.wait((ended,))
        await pool.close()

    def _open(self, plans: Mapping[str, Plan]) -> Pool:
        # aiohttp takes a quarter of a second to import: after /health can answer.
        from trueup.backends.local import LocalBackend
        from trueup.pool.pool import Pool

        pool = Pool()
        served = []
        for model, (name, plan) in zip(self._settings.models, plans.items(), strict=True):
            pool.add(
                name,
                plan,
                ttl_seconds=model.ttl_seconds,
                pin=model.pin,
                # Their worker merges requests: it has to have them at the same time.
                concurrency=EMBEDDING_LEASES if plan.embedding is not None else None,
            )
            served.append(
                Served(
                    id=name,
                    kind=plan.kind,
                    backend=LocalBackend(name, pool),
                    current_plan=partial(_plan_now, plan),
                )
            )
        self._serving.router.open(*served, roles=served_names(self._settings, served))
        return pool

    async def _get_ready(self, pool: Pool, names: Sequence[str]) -> None:
        if not self._arguments.preload:
            self._serving.is_ready = True
            pool.warm_up()
            return
        for name in names:
            try:
                async with pool.lease(name):
                    pass
            except TrueUpError as error:
                _say(f"`{name}` was not loaded: {error.cause}")
        self._serving.is_ready = True

    def _greet(self, names: Sequence[str]) -> None:
        if self._arguments.format == "json":
            said = {"schema_version": 1, "url": self._url, "pid": os.getpid(), "models": names}
            print(json.dumps(said), flush=True)
        if self._arguments.quiet:
            return
        _say(f"TrueUp serves {', '.join(f'`{name}`' for name in names)} at {self._url}/v1")
        if not self._arguments.models and not self._settings.models[0].places:
            _say("no MODEL was named: this is the small demo model that comes with TrueUp")
        if not self._settings.server.api_keys:
            _say("no key is set: only programs of this machine are answered")


def _plan_now(plan: Plan) -> dict[str, Any]:
    """The plan as it is shown: what the first load measured is added when it is there."""
    from trueup.adapt.deviation import refreshed

    return refreshed(plan).as_dict()


def plan_models(models: Sequence[ModelSettings]) -> dict[str, Plan]:
    """The plans by served name, in order; nothing is loaded.

    Raises:
        TrueUpError: a checkpoint cannot be read, or two models have one name.
        AdaptError: no route remains for one or more of them.
    """
    from trueup.adapt.planning import Wishes, plan_model

    plans: dict[str, Plan] = {}
    for model in models:
        wishes = Wishes(
            route=model.route,
            dtype=model.dtype,
            device=model.device,
            context_tokens=model.context_tokens,
            engine=model.engine,
            kind=model.kind,
            pooling=model.pooling,
            normalize=model.normalize,
        )
        try:
            plan = plan_model(model.source, revision=model.revision, wishes=wishes)
        except TrueUpError as error:
            raise _placed(model, error) from None
        name = model.name or plan.model.id
        if name in plans:
            raise ConfigError(
                f"two models are called `{name}`",
                where=model.source,
                hint="give them names in a configuration file: trueup serve --config FILE",
            )
        plans[name] = replace(plan, model=replace(plan.model, id=name))
    refused = [
        (model, plan)
        for model, plan in zip(models, plans.values(), strict=True)
        if plan.route == "refused"
    ]
    if refused:
        raise _refused(refused)
    return plans


def _placed(model: ModelSettings, error: TrueUpError) -> TrueUpError:
    """An error of a model, with the line of the configuration file or the flag it comes from."""
    key = "source" if isinstance(error, CheckpointError) else error.where or ""
    if not model.places:
        is_flag = isinstance(error, ConfigError) and key in WISHES
        return UsageError(error.cause, where=flag_of(key), hint=error.hint) if is_flag else error
    place = model.places.get(key) or model.places[""]
    error.where = place if error.where in (None, key) else f"{place} ({error.where})"
    return error


def _refused(refused: Sequence[tuple[ModelSettings, Plan]]) -> AdaptError:
    plans = [plan for _, plan in refused]
    reasons = "; ".join(
        f"`{plan.model.id}` cannot be run here: "
        + (", ".join((*plan.why, *plan.findings)) or "no route remains")
        for plan in plans
    )
    return AdaptError(
        reasons,
        where=", ".join(model.places.get("") or plan.model.directory for model, plan in refused),
        hint=f"trueup check {plans[0].model.source}",
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
