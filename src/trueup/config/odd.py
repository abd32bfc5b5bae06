"""What is valid in a configuration and probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from trueup.config.document import Document
from trueup.config.mistake import Key, Mistake
from trueup.config.settings import ModelSettings, Settings
from trueup.config.url import is_encrypted_or_near, is_loopback
from trueup.config.variables import VARIABLE

PLAIN_KEY = "this key can be read by everybody who can read the file"


def find_odd(document: Document, settings: Settings) -> Iterator[Mistake]:
    """Every oddity of a valid file, in no order."""
    yield from _unused(document, settings)
    yield from _shadowing(document, settings)
    yield from _twins(document, settings)
    yield from _plain_keys(document)
    yield from _twin_keys(document, settings)
    yield from _open_keys(document, settings)
    yield from _open_server(document, settings)
    for model in settings.models:
        key: Key = ("models", str(model.name))
        if model.pin and "ttl_seconds" in document.places(*key):
            cause = (
                f"`{model.name}` is pinned and never unloaded: its `ttl_seconds` changes nothing"
            )
            yield document.mistake((*key, "ttl_seconds"), cause)


def _unused(document: Document, settings: Settings) -> Iterator[Mistake]:
    """Models without a role: only where the file has roles at all."""
    used = {name for role in settings.roles for name in role.chain}
    used |= {alias.target for alias in settings.aliases}
    for model in settings.models if settings.roles else ():
        if model.name not in used:
            yield document.mistake(
                ("models", str(model.name)),
                f"`{model.name}` is in no role and has no alias: only its own name reaches it",
            )


def _shadowing(document: Document, settings: Settings) -> Iterator[Mistake]:
    """Names that are another model's source: who asks for that source gets something else."""
    sources = {model.source: str(model.name) for model in settings.models}
    reached: dict[str, tuple[str, ...]] = {str(model.name): () for model in settings.models}
    reached |= {backend.name: () for backend in settings.backends}
    reached |= {role.name: role.chain for role in settings.roles}
    named: list[tuple[str, str, tuple[str, ...]]] = [
        *(("models", str(model.name), (str(model.name),)) for model in settings.models),
        *(("backends", backend.name, ()) for backend in settings.backends),
        *(("roles", role.name, role.chain) for role in settings.roles),
        *(
            ("aliases", alias.name, (alias.target, *reached[alias.target]))
            for alias in settings.aliases
        ),
    ]
    for section, name, answers in named:
        owner = sources.get(name)
        if owner is not None and owner not in answers:
            yield document.mistake(
                (section, name),
                f"`{name}` is also the source of the model `{owner}`, and does not lead to it",
            )


def _twins(document: Document, settings: Settings) -> Iterator[Mistake]:
    """Models of one plan: all is equal but the name and how long they stay loaded."""
    first: dict[ModelSettings, str] = {}
    for model in settings.models:
        name = str(model.name)
        twin = first.setdefault(replace(model, name=None, pin=False, ttl_seconds=None), name)
        if twin != name:
            yield document.mistake(
                ("models", name, "source"),
                f"`{name}` and `{twin}` are the same model and would be loaded twice",
                f"another name for it is an alias: aliases: {{{name}: {twin}}}",
            )


def _plain_keys(document: Document) -> Iterator[Mistake]:
    server = document.tree.get("server") or {}
    for index, entry in enumerate(server.get("api_keys") or ()):
        key: Key = ("server", "api_keys", index)
        written = entry.get("key") if isinstance(entry, Mapping) else entry
        if written is not None and VARIABLE.search(str(written)) is None:
            hint = "keep it in the environment: `${env.NAME}`, or only its hash: trueup config key"
            yield document.mistake(key, PLAIN_KEY, hint)
    for name, entry in (document.tree.get("backends") or {}).items():
        written = entry.get("api_key")
        if written is not None and VARIABLE.search(str(written)) is None:
            hint = "keep it in the environment: `${env.NAME}`"
            yield document.mistake(("backends", str(name), "api_key"), PLAIN_KEY, hint)


def _twin_keys(document: Document, settings: Settings) -> Iterator[Mistake]:
    keys: dict[bytes, int] = {}
    names: dict[str, int] = {}
    for index, key in enumerate(settings.server.api_keys):
        place: Key = ("server", "api_keys", index)
        same, namesake = keys.setdefault(key.sha256, index), names.setdefault(key.name, index)
        if same != index:
            cause = f"this key is api_keys[{same}] already, whose name and profile hold"
            yield document.mistake(place, cause, "remove one of them")
        elif namesake != index:
            cause = f"two keys are called `{key.name}`: the access log cannot tell them apart"
            yield document.mistake(place, cause)


def _open_server(document: Document, settings: Settings) -> Iterator[Mistake]:
    """What a server does not start with while nobody needs a key."""
    server = settings.server
    if server.api_keys:
        return
    hint = "set TRUEUP_API_KEY for the server, or write `api_keys`"
    if not is_loopback(server.host):
        cause = f"`{server.host}` can be reached from other machines, and no key is set here"
        yield document.mistake(("server", "host"), cause, hint)
    if "*" in server.cors_origins:
        cause = "the pages of every site may ask, and no key is set here"
        yield document.mistake(("server", "cors_origins"), cause, hint)


def _open_keys(document: Document, settings: Settings) -> Iterator[Mistake]:
    for backend in settings.backends:
        url = backend.url
        if backend.api_key is not None and url is not None and not is_encrypted_or_near(url):
            yield document.mistake(
                ("backends", backend.name, "url"),
                "its key and all that is asked go over the network unencrypted",
                "write `https://` where the server can",
            )
