"""Reads a configuration file and judges all of it: keys, values, variables, names.

pydantic and ruamel.yaml are imported here and in what this calls, and only where a file is given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trueup.config.document import Document, read_document
from trueup.config.explain import explained
from trueup.config.mistake import Key, Mistake
from trueup.config.names import check_names
from trueup.config.odd import find_odd
from trueup.config.schema import Configuration
from trueup.config.settings import Settings
from trueup.config.variables import plain_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a file says: `settings` is None where `errors` has any; both lists in file order."""

    settings: Settings | None
    errors: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check a configuration file.

    Raises:
        ConfigError: it cannot be read, is no YAML, or a key is unknown, missing or wrong: the
            first of these in the file.
    """
    checked = check_config(path, environ)
    if checked.settings is None:
        first, *more = checked.errors
        if more:
            all_of_them = f"trueup config validate {path}   (shows {len(more)} more)"
            hint = f"{first.hint}; {all_of_them}" if first.hint else all_of_them
            first = replace(first, hint=hint)
        raise first.as_error()
    return checked.settings


def check_config(path: Path, environ: Mapping[str, str] | None = None) -> Checked:
    """Read a configuration file and find everything that is wrong or odd in it.

    Raises:
        ConfigError: it cannot be read or is no YAML with keys, so that nothing more can be said.
    """
    return check_document(read_document(path), os.environ if environ is None else environ)


def check_document(document: Document, environ: Mapping[str, str]) -> Checked:
    """Find everything that is wrong or odd in a document.

    Raises: ConfigError where references make it endless.
    """
    tree, errors = plain_tree(document, environ)
    unread = [mistake.key for mistake in errors]
    settings = None
    found = list(check_names(document, tree))
    try:
        settings = Configuration.model_validate(tree).settings()
    except ValidationError as error:
        found += [explained(detail, document) for detail in error.errors()]
    # Of a value that could not be replaced nothing else is known.
    errors += [mistake for mistake in found if not _is_within(mistake.key, unread)]
    if errors or settings is None:
        return Checked(settings=None, errors=_in_order(errors), warnings=())
    return Checked(
        settings=_placed(settings, document),
        errors=(),
        warnings=_in_order(list(find_odd(document, settings))),
    )


def _is_within(key: Key, others: list[Key]) -> bool:
    return any(key[: len(other)] == other for other in others)


def _in_order(mistakes: list[Mistake]) -> tuple[Mistake, ...]:
    """By line; what has none is about the whole file and comes first."""
    return tuple(sorted(mistakes, key=lambda mistake: mistake.line or 0))


def _placed(settings: Settings, document: Document) -> Settings:
    def place(section: str, each: Any) -> Any:
        return replace(each, place=document.place(section, each.name))

    return replace(
        settings,
        models=tuple(
            replace(model, places=document.places("models", str(model.name)))
            for model in settings.models
        ),
        backends=tuple(place("backends", backend) for backend in settings.backends),
        roles=tuple(place("roles", role) for role in settings.roles),
        aliases=tuple(place("aliases", alias) for alias in settings.aliases),
    )
