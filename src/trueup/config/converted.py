"""What another program's file becomes here: YAML that is written by hand, and read back to be sure.

Shared by what reads those files.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from trueup.config.document import parsed_document
from trueup.config.load import check_document
from trueup.config.mistake import Mistake
from trueup.config.variables import VARIABLE

PLAIN = re.compile(r"[^\W\d][\w./-]*")
WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
SHELL_VARIABLE = re.compile(r"\$\{(?!env\.)([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The configuration as YAML, what the user should know of it, and its size in words."""

    text: str
    notes: tuple[str, ...]
    summary: str


def scalar(value: str | int | float) -> str:
    """A value as YAML reads it back."""
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def with_variables(text: str) -> str:
    """`${HOME}` as it is written here; a `${` that is no reference is told by the check."""
    return SHELL_VARIABLE.sub(r"${env.\1}", text)


def mistakes_in(text: str, name: str) -> tuple[Mistake, ...]:
    """What is wrong in the configuration that was made of a file; its variables count as set.

    Raises: ConfigError where it is no YAML.
    """
    environ = dict.fromkeys(VARIABLE.findall(text), "set")
    document = parsed_document(Path(f"the configuration made of {name}"), text.encode())
    return check_document(document, environ).errors
