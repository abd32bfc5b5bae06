"""From a backend's settings to the backend: what its preset knows, and what the operator said."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from trueup.backends.base import Capabilities
from trueup.backends.openai_compatible import OpenAICompatibleBackend
from trueup.backends.presets import PRESETS, Preset
from trueup.config.settings import BackendSettings
from trueup.errors import ConfigError


def open_backend(
    settings: BackendSettings, *, clock: Callable[[], float] = time.monotonic
) -> OpenAICompatibleBackend:
    """The backend of these settings; nothing is asked of the server yet.

    Raises:
        ConfigError: the preset is not known, or the URL cannot be used.
    """
    preset = PRESETS.get(settings.preset)
    if preset is None:
        raise _unknown(settings)
    return OpenAICompatibleBackend(settings, preset, merged(settings, preset), clock=clock)


def merged(settings: BackendSettings, preset: Preset) -> Capabilities:
    """The preset's capabilities where the settings say nothing else."""
    known = preset.capabilities
    told: dict[str, Any] = {
        name: value
        for name, value in (
            ("end_of_answer", settings.end_of_answer),
            ("continuation", settings.continuation),
            ("context_tokens", settings.context_tokens),
            ("asks_again", settings.ask_again),
        )
        if value is not None
    }
    limits = {
        each.name: value
        for each in fields(settings.limits)
        if (value := getattr(settings.limits, each.name)) is not None
    }
    accepts = replace(
        known.accepts,
        unsupported=known.accepts.unsupported.union(settings.unsupported),
        ignored=known.accepts.ignored.union(settings.ignored),
        droppable=known.accepts.droppable.union(settings.drop),
    )
    return replace(known, limits=replace(known.limits, **limits), accepts=accepts, **told)


def _unknown(settings: BackendSettings) -> ConfigError:
    near = difflib.get_close_matches(settings.preset, PRESETS, n=1, cutoff=0.5)
    return ConfigError(
        f"no preset is called `{settings.preset}`",
        where=settings.place or None,
        hint=f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(PRESETS)}",
    )
