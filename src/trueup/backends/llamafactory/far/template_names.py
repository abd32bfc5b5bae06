"""The template names of the LlamaFactory that is installed here, read from its source.

Importing it takes a quarter of a minute, and a load comes after that: a name with a letter wrong is
told before both.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from .faults import SpecFault

PACKAGE = "llamafactory"
# What registers a template; older releases have the second.
REGISTERING = ("register_template", "_register_template")


def check_template(name: str | None, *, cli: str | None = None) -> None:
    """See that a template is there, as far as that can be read; `cli` is the program that loads it.

    Raises: SpecFault.
    """
    if name is None or (cli is not None and not _is_of_this_environment(cli)):
        return
    known = known_templates()
    if known is not None and name not in known:
        raise SpecFault("TemplateUnknown", name, known=known)


def known_templates() -> list[str] | None:
    """The names, sorted; None where they cannot be told from the source alone."""
    names: set[str] = set()
    for source in _registering_sources():
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return None
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node) in REGISTERING:
                name = _name_in(node)
                if name is None:
                    return None
                names.add(name)
    return sorted(names) or None


def _registering_sources() -> Iterator[bytes]:
    try:
        spec = find_spec(PACKAGE)  # imports nothing
    except (ImportError, ValueError):
        return
    for root in (spec.submodule_search_locations or ()) if spec is not None else ():
        for folder, _, files in os.walk(root):
            for file in sorted(files):
                if file.endswith(".py"):
                    with open(os.path.join(folder, file), "rb") as opened:
                        source = opened.read()
                    if b"register_template(" in source:
                        yield source


def _called(call: ast.Call) -> str | None:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def _name_in(call: ast.Call) -> str | None:
    values = [each.value for each in call.keywords if each.arg == "name"] or call.args[:1]
    value = values[0] if values else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    return None


def _is_of_this_environment(cli: str) -> bool:
    """Whether a program lies beside this interpreter: another one has another LlamaFactory."""
    return os.path.dirname(os.path.abspath(cli)) == os.path.dirname(os.path.abspath(sys.executable))
