"""Names of models, roles and aliases: one namespace, and every name that is used exists.

Judges the plain tree, so that a mistake elsewhere in the file hides none of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from trueup.config.document import Document
from trueup.config.mistake import Key, Mistake

SECTIONS = {"models": "a model", "roles": "a role", "aliases": "an alias"}
MAX_LISTED = 8
KINDS = ("chat", "completion", "embedding")


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
    # What stands where the models should be is told elsewhere: no name can be looked up in it.
    if not isinstance(tree.get("models", {}), Mapping):
        return
    for role, shape in _entries(tree, "roles"):
        yield from _chain(document, sections, role, shape, tree)
    for alias, target in _entries(tree, "aliases"):
        if isinstance(target, str) and target:
            yield from _alias(document, sections, alias, target, tree)


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
        elif name not in sections["models"]:
            yield document.mistake(key, *_no_model(name, sections, tree))
        seen.add(name)
    yield from _mixed(document, role, chain, tree)


def _no_model(
    name: str, sections: Mapping[str, Sequence[str]], tree: Mapping[str, Any]
) -> tuple[str, str | None]:
    if name in sections["roles"]:
        return f"`{name}` is a role; a chain names models", "name the models of that role's chain"
    if name in sections["aliases"]:
        target = tree["aliases"][name]
        hint = f"write `{target}`" if target in sections["models"] else None
        return f"`{name}` is an alias; a chain names models", hint
    models = sections["models"]
    where = "this file has no `models`" if not models else "it is no name under `models`"
    return f"`{name}` is not known: {where}", nearest(name, models)


def _mixed(
    document: Document, role: str, chain: Sequence[Any], tree: Mapping[str, Any]
) -> Iterator[Mistake]:
    """Kinds that the file states; those that the models' own files tell are known at the start."""
    kinds: dict[str, str] = {}
    for name in chain:
        model = tree.get("models", {}).get(name) if isinstance(name, str) else None
        kind = model.get("kind") if isinstance(model, Mapping) else None
        if kind in KINDS:
            kinds.setdefault(kind, f"`{name}` ({document.place('models', name, 'kind')})")
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
    if target in sections["models"] or target in sections["roles"]:
        return
    targets = [*sections["models"], *sections["roles"]]
    if target not in sections["aliases"]:
        cause = f"`{target}` is not known: it is no model and no role of this file"
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
