"""Names of models, backends, roles and aliases: one namespace, and every name that is used exists.

Judges the plain tree, so that a mistake elsewhere in the file hides none of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from trueup.config.document import Document
from trueup.config.mistake import Key, Mistake
from trueup.config.settings import PROFILES

SECTIONS = {"models": "a model", "backends": "a backend", "roles": "a role", "aliases": "an alias"}
# What answers itself, so that a chain may name it.
ANSWERING = ("models", "backends")
MAX_LISTED = 8
# The kind of what names none; a model's is known when its own file has been read.
STATED_KINDS = {"backends": "chat"}
KINDS = ("chat", "completion", "embedding", "forecast")


def listing(names: Sequence[str]) -> str:
    """Names in backticks with commas."""
    return ", ".join(f"`{name}`" for name in names)


def nearest(name: str, known: Sequence[str]) -> str | None:
    """A hint: the nearest name, else all of them where they are few."""
    if near := get_close_matches(name, known, n=1):
        return f"did you mean `{near[0]}`"
    return f"known here: {listing(known)}" if 0 < len(known) <= MAX_LISTED else None


def check_names(document: Document, tree: Mapping[str, Any]) -> Iterator[Mistake]:
    """Every mistake about names, in no order."""
    sections = {section: _names(tree, section) for section in SECTIONS}
    yield from _twice(document, sections)
    yield from _profiles(document, tree)
    # What stands where the models should be is told elsewhere: no name can be looked up in it.
    if not all(isinstance(tree.get(section, {}), Mapping) for section in ANSWERING):
        return
    for role, shape in _entries(tree, "roles"):
        yield from _chain(document, sections, role, shape, tree)
        yield from _compared(document, sections, role, shape)
    for alias, target in _entries(tree, "aliases"):
        if isinstance(target, str) and target:
            yield from _alias(document, sections, alias, target, tree)


def _profiles(document: Document, tree: Mapping[str, Any]) -> Iterator[Mistake]:
    known = [*PROFILES, *_names(tree, "profiles")]
    server = tree.get("server")
    keys = server.get("api_keys") if isinstance(server, Mapping) else None
    for index, shape in enumerate(keys if isinstance(keys, list) else ()):
        name = shape.get("profile") if isinstance(shape, Mapping) else None
        if isinstance(name, str) and name not in known:
            key: Key = ("server", "api_keys", index, "profile")
            yield document.mistake(key, f"there is no profile `{name}`", nearest(name, known))


def _entries(tree: Mapping[str, Any], section: str) -> list[tuple[str, Any]]:
    entries = tree.get(section)
    return list(entries.items()) if isinstance(entries, Mapping) else []


def _names(tree: Mapping[str, Any], section: str) -> list[str]:
    return [name for name, _ in _entries(tree, section)]


def _twice(document: Document, sections: Mapping[str, Sequence[str]]) -> Iterator[Mistake]:
    first: dict[str, str] = {}
    for section, names in sections.items():
        for name in names:
            if name not in first:
                first[name] = section
                continue
            other = document.place(first[name], name)
            yield document.mistake(
                (section, name),
                f"`{name}` is {SECTIONS[section]} here and {SECTIONS[first[name]]} at {other}: "
                "one name, one thing",
                "rename one of them",
            )


def _chain(
    document: Document,
    sections: Mapping[str, Sequence[str]],
    role: str,
    shape: Any,
    tree: Mapping[str, Any],
) -> Iterator[Mistake]:
    chain = shape.get("chain") if isinstance(shape, Mapping) else None
    if not isinstance(chain, list):
        return
    seen: set[str] = set()
    for index, name in enumerate(chain):
        key: Key = ("roles", role, "chain", index)
        if not isinstance(name, str):
            continue
        if name in seen:
            yield document.mistake(key, f"`{name}` is in this chain twice", "remove one of them")
        elif name not in _answering(sections):
            yield document.mistake(key, *_no_answering(name, sections, tree))
        seen.add(name)
    yield from _mixed(document, role, chain, tree)


def _compared(
    document: Document, sections: Mapping[str, Sequence[str]], role: str, shape: Any
) -> Iterator[Mistake]:
    acceptance = shape.get("acceptance") if isinstance(shape, Mapping) else None
    name = acceptance.get("compare_with") if isinstance(acceptance, Mapping) else None
    known = _answering(sections)
    if isinstance(name, str) and name and name not in known:
        key: Key = ("roles", role, "acceptance", "compare_with")
        cause = f"`{name}` is not known: what a role is compared with is a model or a backend"
        yield document.mistake(key, cause, nearest(name, known))


def _answering(sections: Mapping[str, Sequence[str]]) -> list[str]:
    return [name for section in ANSWERING for name in sections[section]]


def _no_answering(
    name: str, sections: Mapping[str, Sequence[str]], tree: Mapping[str, Any]
) -> tuple[str, str | None]:
    names = "a chain names models and backends"
    if name in sections["roles"]:
        return f"`{name}` is a role; {names}", "name the models of that role's chain"
    known = _answering(sections)
    if name in sections["aliases"]:
        target = tree["aliases"][name]
        return f"`{name}` is an alias; {names}", f"write `{target}`" if target in known else None
    filled = [f"`{section}`" for section in ANSWERING if sections[section]]
    where = f"it is no name under {' or '.join(filled)}"
    if not filled:
        where = "this file has no `models` and no `backends`"
    return f"`{name}` is not known: {where}", nearest(name, known)


def _mixed(
    document: Document, role: str, chain: Sequence[Any], tree: Mapping[str, Any]
) -> Iterator[Mistake]:
    """Kinds that the file states; those that the models' own files tell are known at the start."""
    kinds: dict[str, str] = {}
    for name in chain:
        for section in ANSWERING if isinstance(name, str) else ():
            shape = tree.get(section, {}).get(name)
            kind = (
                shape.get("kind", STATED_KINDS.get(section)) if isinstance(shape, Mapping) else None
            )
            if kind in KINDS:
                kinds.setdefault(kind, f"`{name}` ({document.place(section, name, 'kind')})")
    if len(kinds) > 1:
        stated = " and ".join(f"{kind} {place}" for kind, place in kinds.items())
        yield document.mistake(
            ("roles", role, "chain"),
            f"this chain mixes {stated}: what stands in for a model answers the same requests",
            "make a role of each kind",
        )


def _alias(
    document: Document,
    sections: Mapping[str, Sequence[str]],
    alias: str,
    target: str,
    tree: Mapping[str, Any],
) -> Iterator[Mistake]:
    key: Key = ("aliases", alias)
    targets = [*_answering(sections), *sections["roles"]]
    if target in targets:
        return
    if target not in sections["aliases"]:
        cause = f"`{target}` is not known: it is no model, backend or role of this file"
        yield document.mistake(key, cause, nearest(target, targets))
        return
    circle = _circle(alias, tree["aliases"])
    if circle is not None:
        if alias != next(name for name in sections["aliases"] if name in circle):
            return  # told once
        cause = f"the aliases {' -> '.join(f'`{name}`' for name in circle)} name each other"
        yield document.mistake(key, cause, "name a model or a role")
        return
    end = target
    while end in sections["aliases"]:
        end = str(tree["aliases"][end])
    yield document.mistake(
        key,
        f"`{target}` is an alias itself; an alias names a model or a role",
        f"write `{end}`" if end in targets else None,
    )


def _circle(alias: str, aliases: Mapping[str, Any]) -> list[str] | None:
    """The circle that an alias leads into; None where it leads to something else."""
    path = [alias]
    while isinstance(following := aliases.get(path[-1]), str):
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)
    return None
