"""From a backend's settings to the backend: what its preset knows, and what the operator said."""

from __future__ import annotations

import difflib
import ipaddress
import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from trueup.backends.base import Capabilities
from trueup.backends.http import Address
from trueup.backends.llamafactory.backend import LlamaFactoryBackend
from trueup.backends.llamafactory.one_shot import OneShotBackend
from trueup.backends.llamafactory.opening import open_llamafactory
from trueup.backends.openai_compatible import OpenAICompatibleBackend
from trueup.backends.presets import PRESETS, Preset
from trueup.config.llamafactory_settings import LlamaFactorySettings
from trueup.config.presets import DEFAULT_PRESET
from trueup.config.settings import AnyBackendSettings, BackendSettings
from trueup.errors import ConfigError

# Names that the internet does not have.
LOCAL_SUFFIXES = (".local", ".lan", ".internal", ".localhost", ".home.arpa", ".test")


OpenedBackend = OpenAICompatibleBackend | LlamaFactoryBackend | OneShotBackend


def open_backend(
    settings: AnyBackendSettings,
    *,
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] = lambda line: None,
) -> OpenedBackend:
    """The backend of these settings; nothing is asked or started yet.

    `say` is told when a model is loaded for it, with the memory that it needs.

    Raises:
        ConfigError: the preset is not known, or the URL cannot be used.
    """
    if isinstance(settings, LlamaFactorySettings):
        return open_llamafactory(settings, say=say)
    preset = PRESETS.get(settings.preset)
    if preset is None:
        raise _unknown(settings)
    if preset.name == DEFAULT_PRESET and settings.url:
        preset = _of_host(Address(settings.url, where=settings.place), preset)
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


def _of_host(address: Address, preset: Preset) -> Preset:
    """What is known of a server that is called by its URL alone.

    One on the internet may be paid for each answer: asking again is the operator's to allow.
    """
    host = address.endpoint.host
    for each in PRESETS.values():
        if each.url and Address(each.url).endpoint.host == host and not _is_near(host):
            return each
    if _is_near(host):
        return preset
    return replace(preset, capabilities=replace(preset.capabilities, asks_again=False))


def _is_near(host: str) -> bool:
    """Whether a host is this machine or one of a local network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(LOCAL_SUFFIXES)
    return not address.is_global


def _unknown(settings: BackendSettings) -> ConfigError:
    near = difflib.get_close_matches(settings.preset, PRESETS, n=1, cutoff=0.5)
    return ConfigError(
        f"no preset is called `{settings.preset}`",
        where=settings.place or None,
        hint=f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(PRESETS)}",
    )
