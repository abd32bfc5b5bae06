"""Our own gateway as a process in front of a fault server, and the names of its cases there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.case import Case

HEALTHY = "healthy"
# What a gateway may take for a case: less than the patience of a person at a terminal.
LIMITS: Mapping[str, float] = {
    "connect_seconds": 1.0,
    "first_token_seconds": 1.5,
    "between_tokens_seconds": 1.5,
    "total_seconds": 20.0,
}
# The healthy server is never the one that is waited for, however busy this machine is.
PATIENT: Mapping[str, float] = {
    "first_token_seconds": 30.0,
    "between_tokens_seconds": 30.0,
    "total_seconds": 60.0,
}
# All cases through one backend: breakers, budgets and lessons are then theirs in common.
SHARED = "shared"
# Its first line names every backend and role.
GREETING_BYTES = 2**24


def alone_name(case: Case, *, is_shared: bool = False) -> str:
    """The model that asks the faulty server alone."""
    return f"alone.{SHARED if is_shared else case.name.replace(':', '.')}"


def second_name(case: Case, *, is_shared: bool = False) -> str:
    """The role that asks a healthy server after the faulty one."""
    return f"second.{SHARED if is_shared else case.name.replace(':', '.')}"


def configuration(
    cases: Sequence[Case],
    *,
    faulty: str,
    healthy: str,
    closed: str,
    limits: Mapping[str, float] = LIMITS,
    is_shared: bool = False,
) -> dict[str, Any]:
    """The gateway's configuration: for each case a backend, and a role with a second one.

    `faulty`, `healthy` and `closed` are base URLs; nobody listens at `closed`.
    """
    backends: dict[str, Any] = {
        HEALTHY: {"url": healthy, "model": "test", "limits": {**limits, **PATIENT}}
    }
    roles: dict[str, Any] = {}
    for case in cases:
        row = {
            "url": closed if case.fault.is_unplayed else faulty,
            "model": "test",
            "limits": dict(limits),
            **({} if is_shared else case.fault.backend),
        }
        name, role = (named(case, is_shared=is_shared) for named in (alone_name, second_name))
        backends[name] = row
        # Not the one that is asked alone: what that has taught is not known here.
        backends[f"faulty.{role}"] = row
        roles[role] = {"chain": [f"faulty.{role}", HEALTHY]}
    return {"config_version": 1, "backends": backends, "roles": roles}


@contextlib.asynccontextmanager
async def running_gateway(
    configuration: Mapping[str, Any], folder: Path, arguments: Iterable[str] = ()
) -> AsyncIterator[str]:
    """`trueup serve` with this configuration; yields its base URL. Its state is in `folder`."""
    path = folder / "trueup.yaml"
    path.write_text(json.dumps(configuration, ensure_ascii=False), encoding="utf-8")
    environment = {**os.environ, "TRUEUP_HOME": str(folder / "home")}
    with (folder / "gateway.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trueup", "serve", "--config", str(path)),
            *("--port", "0", "--format", "json", *arguments),
            stdout=asyncio.subprocess.PIPE,
            limit=GREETING_BYTES,
            stderr=log,
            env=environment,
        )
        assert process.stdout is not None
        try:
            first = await process.stdout.readline()
            if not first:
                said = (folder / "gateway.log").read_text(encoding="utf-8")
                raise SystemExit(f"the gateway did not start:\n{said}")
            yield f"{json.loads(first)['url']}/v1"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
