"""From settings to the backend of a model that LlamaFactory runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trueup.backends.hosts.host import Host
from trueup.backends.hosts.local import LocalHost
from trueup.backends.llamafactory.api_backend import ApiBackend, attached
from trueup.backends.llamafactory.backend import LlamaFactoryBackend
from trueup.backends.llamafactory.link import local_root
from trueup.backends.llamafactory.one_shot import OneShotBackend
from trueup.backends.llamafactory.place import REMOTE_ROOT
from trueup.backends.openai_compatible import OpenAICompatibleBackend
from trueup.config.home import trueup_home
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.errors import ConfigError


def open_llamafactory(
    settings: LlamaFactorySettings, *, say: Callable[[str], None]
) -> LlamaFactoryBackend | OneShotBackend | OpenAICompatibleBackend:
    """The backend; nothing runs before somebody asks.

    Raises: ConfigError for what cannot be run.
    """
    settings, host, root = place_of(settings)
    if settings.mode == "api" and settings.base_model_path is None:
        return attached(settings, host)
    if settings.mode == "api":
        return ApiBackend(settings, host, root, say=say)
    if settings.script_path is not None:
        return OneShotBackend(settings, host)
    return LlamaFactoryBackend(settings, host, root, say=say)


def place_of(settings: LlamaFactorySettings) -> tuple[LlamaFactorySettings, Host, str]:
    """The settings as they are there, the host, and its folder of workers as shell text.

    Raises: ConfigError where it is over SSH and asyncssh is not installed.
    """
    if settings.ssh is None:
        # What is relative is so to where the server was started, and tells one worker from another.
        here = Path.cwd() / Path(settings.work_dir or ".").expanduser()
        settings = replace(settings, work_dir=str(here))
        return settings, LocalHost(), local_root(str(trueup_home()))
    try:
        from trueup.backends.hosts.ssh import host_of
    except ImportError as error:
        raise ssh_missing(settings) from error
    return settings, host_of(settings.ssh), REMOTE_ROOT


def ssh_missing(settings: LlamaFactorySettings) -> ConfigError:
    """The extra `ssh` is not installed."""
    return ConfigError(
        f"`{settings.name}` has a host: SSH needs the package asyncssh",
        where=settings.place or None,
        hint="pip install 'trueup[ssh]'",
    )
