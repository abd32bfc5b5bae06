"""Reads a configuration file: YAML with positions, environment variables, the schema's checks.

Every error names the key, its line, the value found and what would be right. pydantic and
ruamel.yaml are imported here and only where a file is given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from trueup.config.schema import CURRENT_VERSION, Configuration
from trueup.config.settings import Settings
from trueup.errors import ConfigError

VARIABLE = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")
UNFINISHED = re.compile(r"\$\{[^}]*\}?")
MAX_FILE_BYTES = 2**20
SECRET_KEYS = frozenset({"api_keys", "api_key"})
TYPES = {
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "list_type": "a list",
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}
Key = tuple[int | str, ...]


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check a configuration file.

    Raises:
        ConfigError: it cannot be read, is no YAML, or a key is unknown, missing or wrong.
    """
    tree = _read(path)
    if not isinstance(tree, CommentedMap):
        raise ConfigError(
            f"the file holds {_kind(tree)}, expected keys such as `config_version: 1`",
            where=str(path),
            hint=f"begin it with `config_version: {CURRENT_VERSION}`",
        )
    place = _Place(path, tree)
    plain = _filled_in(tree, (), place, os.environ if environ is None else environ)
    try:
        settings = Configuration.model_validate(plain).settings()
    except ValidationError as error:
        # The first one only: later ones often follow from it.
        raise _told(error.errors()[0], place) from None
    models = tuple(
        replace(model, places=place.of_model(str(model.name))) for model in settings.models
    )
    return replace(settings, models=models)


class _Place:
    """Where keys stand in the file."""

    def __init__(self, path: Path, tree: CommentedMap) -> None:
        self._path = path
        self._tree = tree

    def of(self, key: Key) -> str:
        """`file:line: dotted.key` of a key, or of the nearest key above it that exists."""
        line = self._line(key)
        dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
        place = str(self._path) if line is None else f"{self._path}:{line}"
        return f"{place}: {dotted.lstrip('.')}" if dotted else place

    def of_model(self, name: str) -> dict[str, str]:
        """The places of a model's keys that the file has; the empty key is the model's own."""
        found = {"": self.of(("models", name))}
        for key in self._tree["models"].get(name) or ():
            found[str(key)] = self.of(("models", name, key))
        return found

    def _line(self, key: Key) -> int | None:
        node: Any = self._tree
        line = None
        for part in key:
            try:
                if isinstance(node, CommentedMap):
                    line = node.lc.key(part)[0] + 1
                elif isinstance(node, CommentedSeq):
                    line = node.lc.item(part)[0] + 1
                node = node[part]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return line


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"the configuration file cannot be read: {error.strerror or error}",
            where=str(path),
            hint="name an existing file: trueup serve --config FILE",
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"the file is longer than {MAX_FILE_BYTES} bytes", where=str(path))
    yaml = YAML(typ="rt")
    try:
        return yaml.load(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the file is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}",
            where=str(path),
        ) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = (error.problem or error.context or "no YAML").splitlines()[0]
        raise ConfigError(f"the file is not YAML: {problem}", where=f"{path}{line}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        problem = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"the file is not YAML: {problem}", where=str(path)) from error


def _filled_in(node: Any, key: Key, place: _Place, environ: Mapping[str, str]) -> Any:
    """The tree in plain types, with `${env.NAME}` replaced."""
    if isinstance(node, Mapping):
        return {
            str(name): _filled_in(each, (*key, name), place, environ) for name, each in node.items()
        }
    if isinstance(node, list):
        return [_filled_in(each, (*key, i), place, environ) for i, each in enumerate(node)]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float):
        if isinstance(node, kind):
            return kind(node)
    if not isinstance(node, str):
        return node
    for found in UNFINISHED.findall(node):
        if not VARIABLE.fullmatch(found):
            raise ConfigError(
                f"`{found}` is no reference, expected `${{env.NAME}}`", where=place.of(key)
            )

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environ:
            raise ConfigError(
                f"the environment variable `{name}` is not set",
                where=place.of(key),
                hint=f"export {name}=…",
            )
        return environ[name]

    return VARIABLE.sub(value, str(node))


def _told(detail: ErrorDetails, place: _Place) -> ConfigError:
    key, kind, found = tuple(detail["loc"]), detail["type"], detail["input"]
    context = detail.get("ctx", {})
    where = place.of(key)
    name = str(key[-1]) if key else "the file"
    if key and isinstance(key[-1], int):
        name = f"{key[-2]}[{key[-1]}]"
    if kind == "extra_forbidden":
        known = _known_keys(key[:-1])
        near = get_close_matches(name, known, n=1)
        return ConfigError(
            f"`{name}` is not a key here",
            where=where,
            hint=f"did you mean `{near[0]}`" if near else f"known here: {_listing(known)}",
        )
    if kind == "missing":
        hint = f"config_version: {CURRENT_VERSION}" if name == "config_version" else None
        return ConfigError(f"the key `{name}` is missing", where=where, hint=hint)
    if key and key[-1] == "[key]":
        return ConfigError(f"`{found}` is no name: expected no spaces", where=place.of(key[:-1]))
    shown = "the value" if SECRET_KEYS & set(key) else f"`{found}`"
    expected = _expected(kind, context, detail["msg"]) + _range(key, kind)
    hint = None
    if isinstance(found, str) and (choices := context.get("expected")):
        near = get_close_matches(found, re.findall(r"'([^']+)'", str(choices)), n=1)
        hint = f"did you mean `{near[0]}`" if near else None
    return ConfigError(f"`{name}` is {shown}, expected {expected}", where=where, hint=hint)


def _expected(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind == "literal_error":
        return str(context["expected"]).replace("'", "`")
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        return f"what matches `{context['pattern']}`"
    return TYPES.get(kind) or message.removeprefix("Input should be ").removeprefix(
        "String should "
    )


def _range(key: Key, kind: str) -> str:
    """What a number of the wrong type should also have kept to."""
    section = _section(key[:-1])
    if kind != "int_type" or section is None:
        return ""
    limits = section.model_fields[str(key[-1])].metadata
    lowest = next((each.ge for each in limits if hasattr(each, "ge")), None)
    highest = next((each.le for each in limits if hasattr(each, "le")), None)
    return "" if highest is None else f" from {lowest} to {highest}"


def _known_keys(section: Sequence[int | str]) -> list[str]:
    """The keys that the schema knows at a place."""
    kind = _section(section)
    return [] if kind is None else list(kind.model_fields)


def _section(section: Sequence[int | str]) -> type[BaseModel] | None:
    kind: Any = Configuration
    for part in section:
        if isinstance(kind, type) and issubclass(kind, BaseModel) and part in kind.model_fields:
            kind = kind.model_fields[str(part)].annotation
        elif get_origin(kind) in (dict, list):
            kind = get_args(kind)[-1]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _listing(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _kind(node: Any) -> str:
    if node is None:
        return "nothing"
    return "a list" if isinstance(node, CommentedSeq) else f"only `{str(node)[:40]}`"
