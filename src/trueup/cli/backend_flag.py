"""`--backend NAME=URL[,preset=…][,model=…][,kind=…][,api_key_env=…]`, read into settings.

A key never stands on a command line, where every program of the machine can read it:
`api_key_env` names the environment variable that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from urllib.parse import urlsplit

from trueup.config.presets import DEFAULT_PRESET, PRESET_NAMES
from trueup.config.secret import Secret
from trueup.config.settings import BackendSettings
from trueup.errors import ConfigError, UsageError

FLAG = "--backend"
OPTIONS = ("preset", "model", "kind", "api_key_env")
KINDS = ("chat", "completion", "embedding")
NAME = re.compile(r"[^\s\x00-\x1f]{1,200}")
KEY_HINT = "put the key into an environment variable and name that: api_key_env=VARIABLE"
EXAMPLE = f"{FLAG} xin=http://127.0.0.1:9997,preset=xinference"


def backends_of(texts: Sequence[str], environ: Mapping[str, str]) -> tuple[BackendSettings, ...]:
    """The servers that the flag named, in order.

    A backend that is called like a preset has that preset where none is named.

    Raises:
        UsageError: one of them cannot be meant.
        ConfigError: the variable of a key is not set, or holds no key.
    """
    found: dict[str, BackendSettings] = {}
    for text in texts:
        backend = _backend_of(text, environ)
        if backend.name in found:
            raise UsageError(
                f"two servers are called `{backend.name}`",
                where=FLAG,
                hint=f"give one of them another name: --backend {backend.name}-2=URL",
            )
        found[backend.name] = backend
    return tuple(found.values())


def _backend_of(text: str, environ: Mapping[str, str]) -> BackendSettings:
    name, _, rest = text.partition("=")
    url, *words = rest.split(",")
    parts = _parts_of(url)
    if not NAME.fullmatch(name) or parts is None:
        raise UsageError(
            f"`{text if '@' not in text else name}` is no `NAME=URL`", where=FLAG, hint=EXAMPLE
        )
    if "@" in url or "?" in url:
        # Not repeated: it may hold a key.
        raise UsageError(
            f"the URL of `{name}` carries more than a host, a port and a path",
            where=FLAG,
            hint=KEY_HINT,
        )
    options = dict(_option_of(word, name) for word in words)
    preset = options.get("preset", name if name in PRESET_NAMES else DEFAULT_PRESET)
    _check("preset", preset, PRESET_NAMES)
    kind = options.get("kind", "chat")
    _check("kind", kind, KINDS)
    variable = options.get("api_key_env")
    return BackendSettings(
        name=name,
        url=url,
        preset=preset,
        model=options.get("model"),
        api_key=None if variable is None else _key_of(variable, environ),
        kind=kind,  # type: ignore[arg-type]
        place=f"{FLAG} {name}",
    )


def _parts_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") else None


def _option_of(word: str, name: str) -> tuple[str, str]:
    option, is_given, value = word.partition("=")
    if option not in OPTIONS or not is_given or not value:
        # Not what it says: it may be a key.
        shown = f"`{option}=…`" if is_given else "a word without `=`"
        near = get_close_matches(option, OPTIONS, n=1)
        raise UsageError(
            f"{shown} says nothing about `{name}`, expected "
            + ", ".join(f"`{each}=…`" for each in OPTIONS),
            where=FLAG,
            hint=KEY_HINT if "key" in option else f"{near[0]}=…" if near else EXAMPLE,
        )
    return option, value


def _check(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        near = get_close_matches(value, known, n=1)
        raise UsageError(
            f"no {option} is called `{value}`",
            where=FLAG,
            hint=f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(known)}",
        )


def _key_of(variable: str, environ: Mapping[str, str]) -> Secret:
    key = environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"`{variable}` holds no key", where=FLAG, hint=f"export {variable}=KEY")
    if not key.isascii() or not key.isprintable():
        raise ConfigError("the key is not printable ASCII", where=variable)
    return Secret(key)
