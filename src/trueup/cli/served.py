"""Which server answers for a MODEL of the command line: a named one, a running one, or our own.

Shared by the commands that ask a model; what they ask is theirs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from trueup.checkpoint.source import is_here
from trueup.cli.client import ChatClient
from trueup.cli.downloading import fetched
from trueup.cli.private_server import private_server
from trueup.config.servers import RunningServer, running_servers
from trueup.errors import ConfigError, RequestError, TrueUpError, UsageError


@contextlib.asynccontextmanager
async def served(
    model: str,
    *,
    url: str | None,
    options: Mapping[str, str | None],
    private: Sequence[str] = (),
) -> AsyncIterator[tuple[ChatClient, str]]:
    """A client of a server that serves the model, and the model's name there.

    1. The server of `url`. 2. A running one of ours that serves it, unless one of `options`
    (flags of `trueup serve`) has a value. 3. A private one, with the flags `private` as well; its
    model is downloaded first.

    Raises:
        UsageError: `url` and one of `options`.
        ConfigError: only a running server has the model, and keeps it behind a key.
        CheckpointError: the model of a private server is not to be had.
        PrivateServerEnded, BackendError: see `private_server`.
    """
    key = os.environ.get("TRUEUP_API_KEY")
    asked = [option for option, value in options.items() if value]
    if url and asked:
        raise UsageError(
            f"`--{asked[0]}` is of a private server's model, and `--url` names another server",
            where=f"--{asked[0]}",
            hint="leave one of them out",
        )
    if url:
        async with ChatClient(with_version(url), api_key=key) as client:
            yield client, model
        return
    wanted = [model]
    for option, value in options.items():
        if value:
            wanted += [f"--{option}", value]
    if len(wanted) == 1:
        for server in running_servers():
            async with ChatClient(f"{server.url}/v1", api_key=key) as client:
                if name := await _name_there(client, server, model):
                    print(f"(asking `{name}` at {server.url})", file=sys.stderr)
                    yield client, name
                    return
    await fetched(model, options.get("revision"))
    async with (
        private_server([*wanted, *private], tells_all=True) as own,
        ChatClient(own.url, api_key=own.api_key, private=model) as client,
    ):
        yield client, own.models[0]


async def _name_there(client: ChatClient, server: RunningServer, model: str) -> str | None:
    """The served name of `model` there, None where another server has to do.

    Raises: ConfigError when only that server has the model, and keeps it behind a key.
    """
    try:
        return _name_of(model, await client.models())
    except TrueUpError as error:
        is_locked = isinstance(error, RequestError) and error.status == HTTPStatus.UNAUTHORIZED
        # Another conversation's private server is locked too: a model that can be found here is
        # served anew.
        if is_locked and model in server.models and not is_here(model):
            raise ConfigError(
                f"the server at {server.url} serves `{model}` and wants a key",
                where=server.url,
                hint="set TRUEUP_API_KEY to a key of that server",
            ) from error
        return None


def _name_of(model: str, rows: list[dict[str, Any]]) -> str | None:
    """The served name of what the user called `model`: a name, a source or a directory."""
    if any(row.get("id") == model for row in rows):  # a role, for one, wins over a source
        return model
    folder = os.path.realpath(model) if os.path.isdir(model) else None
    for row in rows:
        served = ((row.get("trueup") or {}).get("plan") or {}).get("model") or {}
        if model == served.get("source") or (
            folder and folder == os.path.realpath(served.get("directory") or "")
        ):
            return str(row["id"])
    return None


def with_version(url: str) -> str:
    """The URL of the API, which ends in its version."""
    url = url.rstrip("/")
    return url if url.endswith("/v1") else f"{url}/v1"
