"""From settings to the backend of a model that LlamaFactory runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trueup.backends.hosts.local import LocalHost
from trueup.backends.llamafactory.backend import LlamaFactoryBackend
from trueup.backends.llamafactory.link import local_root
from trueup.config.home import trueup_home
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.errors import ConfigError


def open_llamafactory(
    settings: LlamaFactorySettings, *, say: Callable[[str], None]
) -> LlamaFactoryBackend:
    """The backend; nothing runs before somebody asks.

    Raises: ConfigError for what cannot be run.
    """
    if settings.mode != "script" or settings.script_path or settings.ssh is not None:
        raise ConfigError(
            f"`{settings.name}` cannot be run so: only the mode `script` on this machine can be",
            where=settings.place or None,
        )
    # What is relative is so to where the server was started, and tells one worker from another.
    here = Path.cwd() / Path(settings.work_dir or ".").expanduser()
    settings = replace(settings, work_dir=str(here))
    root = local_root(str(trueup_home()))
    return LlamaFactoryBackend(settings, LocalHost(), root, say=say)
