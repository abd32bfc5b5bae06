"""From what pydantic says of a configuration to what its author can mend."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from trueup.config.document import Document
from trueup.config.llamafactory_section import VARIABLE_PATTERN
from trueup.config.mistake import Key, Mistake
from trueup.config.names import listing, nearest
from trueup.config.schema import CURRENT_VERSION, LANGUAGE_PATTERN, Configuration
from trueup.config.section import STATED
from trueup.config.server_section import DIGEST_PATTERN, ORIGIN_PATTERN

SECRET_KEYS = frozenset({"api_keys", "api_key", "key", "sha256"})
TYPES = {
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "list_type": "a list",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}
PATTERNS = {
    LANGUAGE_PATTERN: "the code of a language, such as `zh` or `en`",
    ORIGIN_PATTERN: "an origin, such as `https://board.example`, or `*`",
    VARIABLE_PATTERN: "the name of an environment variable",
    DIGEST_PATTERN: "64 hexadecimal digits, as `trueup config key` prints them",
}
# Where YAML's quotes make a text of what was meant as something else.
UNQUOTED = frozenset({"int_type", "float_type", "bool_type"})
UNQUOTED_TEXT = re.compile(r"[-+]?[\d.]{1,40}|true|false")
SHOWN_CHARACTERS = 80
NEAR = "did you mean"


def explained(detail: ErrorDetails, document: Document) -> Mistake:
    """One mistake in the file's own words."""
    key, kind, found = tuple(detail["loc"]), detail["type"], detail["input"]
    if key and key[-1] == "[key]":
        name = f"`{_shortened(found)}` is no name"
        return document.mistake(key[:-1], f"{name}: expected 1 to 200 characters and no spaces")
    name = _name(key)
    if kind == "extra_forbidden":
        cause, hint = _unknown(name, key)
        # Where a key was meant, what stands there may be one, and is not shown.
        is_shown = not _is_secret(key[:-1]) or (hint or "").startswith(NEAR)
        if is_shown:
            return document.mistake(key, cause, hint)
        return document.mistake(key[:-1], "a name that is not shown is not a key here", hint)
    if kind == "missing":
        hint = f"config_version: {CURRENT_VERSION}" if name == "config_version" else None
        return document.mistake(key, f"the key `{name}` is missing", hint)
    if kind == "too_short" and found == []:
        hint = f"write at least one: {name}: [NAME]"
        return document.mistake(key, f"`{name}` is an empty list, expected names", hint)
    context = detail.get("ctx", {})
    if kind == STATED:
        return document.mistake(key, context["cause"], context["hint"])
    expected = _expected(kind, context, detail["msg"]) + _range(key, kind)
    is_secret = _is_secret(key)
    if is_secret:  # nothing of it is shown
        cause = f"`{name}` has a value that is not shown here, expected {expected}"
        return document.mistake(key, cause)
    is_unquoted = kind in UNQUOTED or expected == found
    if is_unquoted and isinstance(found, str) and UNQUOTED_TEXT.fullmatch(found.strip()):
        cause = f"`{name}` is `{json.dumps(found)}`, expected {expected}"
        return document.mistake(key, cause, "write it without quotes")
    shown = _shown(found)
    hint = None
    if isinstance(found, str) and (choices := context.get("expected")):
        near = get_close_matches(found, re.findall(r"'([^']+)'", str(choices)), n=1)
        hint = f"did you mean `{near[0]}`" if near else None
    return document.mistake(key, f"`{name}` is {shown}, expected {expected}", hint)


def _is_secret(key: Key) -> bool:
    """Whether a key's value, or a part of it, is one that must not be shown."""
    last = key[-2:] if key and isinstance(key[-1], int) else key[-1:]
    return bool(SECRET_KEYS & set(last))


def _shown(found: object) -> str:
    # Not what is in it: it may hold a key.
    if isinstance(found, dict):
        return "a mapping"
    return "a list" if isinstance(found, list) else f"`{_shortened(found)}`"


def _name(key: Key) -> str:
    if not key:
        return "the file"
    return f"{key[-2]}[{key[-1]}]" if isinstance(key[-1], int) else key[-1]


def _shortened(found: object) -> str:
    is_word = found is None or isinstance(found, bool)
    text = json.dumps(found) if is_word else str(found)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _unknown(name: str, key: Key) -> tuple[str, str | None]:
    known = _known_keys(key[:-1])
    hint = nearest(name, known)
    return f"`{name}` is not a key here", hint or f"known here: {listing(known)}"


def _expected(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind == "literal_error":
        return str(context["expected"]).replace("'", "`")
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return PATTERNS.get(pattern) or f"what matches `{pattern}`"
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
        kind = _bare(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel) and part in kind.model_fields:
            kind = kind.model_fields[str(part)].annotation
        elif get_origin(kind) in (dict, list):
            kind = get_args(kind)[-1]
    kind = _bare(kind)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind
