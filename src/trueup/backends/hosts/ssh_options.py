"""From a host's settings to what asyncssh is told; nothing is read that was not named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh

from trueup.backends.hosts.ssh_faults import no_agent, no_key_file, no_password
from trueup.config.llamafactory_settings import HostSettings
from trueup.config.ssh_address import split_address
from trueup.errors import ConfigError

CONNECT_SECONDS = 10.0
LOGIN_SECONDS = 30.0
KEEPALIVE_SECONDS = 15.0
KEEPALIVES = 3


async def options_of(
    settings: HostSettings, environ: Mapping[str, str]
) -> asyncssh.SSHClientConnectionOptions:
    """Everything but whose host key is trusted.

    Raises:
        ConfigError: the file in the form of ~/.ssh/config cannot be read.
        BackendError: a key, a password or an agent that is named is not there.
    """
    given: dict[str, Any] = {
        "host": settings.host,
        "config": _config(settings),
        "connect_timeout": CONNECT_SECONDS,
        "login_timeout": LOGIN_SECONDS,
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": KEEPALIVES,
        "agent_path": _agent(settings, environ),
        "gss_auth": False,
        "gss_kex": False,
        "host_based_auth": False,
        **_keys(settings),
    }
    if settings.port is not None:
        given["port"] = settings.port
    if settings.user is not None:
        given["username"] = settings.user
    if settings.password_env is not None:
        given["password"] = environ.get(settings.password_env)
        if not given["password"]:
            raise no_password(settings)
    else:
        given["password_auth"] = given["kbdint_auth"] = False
    try:
        # In a thread: it reads files.
        options: asyncssh.SSHClientConnectionOptions = (
            await asyncssh.SSHClientConnectionOptions.construct(**given)
        )
        return options
    except (asyncssh.ConfigParseError, UnicodeDecodeError) as error:
        raise ConfigError(str(error), where=settings.ssh_config) from error


def jump_settings(settings: HostSettings, jump: str) -> HostSettings:
    """The host on the way: as the host itself, but for where it is and who asks there.

    Raises: ConfigError where it is not `user@host:port`.
    """
    before, _, last = jump.rpartition(",")
    user, host, port = split_address(last, "proxy_jump")
    return replace(settings, host=host, port=port, user=user, proxy_jump=before or None)


def _config(settings: HostSettings) -> list[str] | None:
    if settings.ssh_config is None:
        return None
    path = Path(settings.ssh_config).expanduser()
    if not path.is_file():
        raise ConfigError(f"`{path}` does not exist", where="ssh_config")
    return [str(path)]


def _agent(settings: HostSettings, environ: Mapping[str, str]) -> str | None:
    if not settings.agent:
        return None
    path = environ.get("SSH_AUTH_SOCK")
    if not path or not os.path.exists(path):
        raise no_agent(settings)
    return path


def _keys(settings: HostSettings) -> dict[str, Any]:
    """The keys that are offered: the named one; else, as plain SSH does, those of this user."""
    if settings.key is not None:
        path = Path(settings.key).expanduser()
        try:
            path.open("rb").close()
        except OSError as error:
            raise no_key_file(str(error.strerror), settings) from error
        return {"client_keys": [str(path)]}
    if settings.password_env is not None and not settings.agent:
        return {"client_keys": None}
    return {}


def first_hop(options: asyncssh.SSHClientConnectionOptions, settings: HostSettings) -> str | None:
    """The host on the way, by the settings or by the file that they name; several have commas."""
    if settings.proxy_jump is not None:
        return settings.proxy_jump
    tunnel = options.tunnel
    if not isinstance(tunnel, str) or not tunnel:
        return None
    # `Host *` with a ProxyJump is about the host on the way too, which needs none.
    _, host, port = split_address(tunnel.rpartition(",")[2], "ProxyJump")
    is_itself = host in (settings.host, options.host) and port in (None, options.port)
    return None if is_itself else tunnel
