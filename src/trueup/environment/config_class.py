"""The class of a release that reads a config.json, told from its source: no import."""

from __future__ import annotations

import ast
from typing import Any

from trueup.environment.symbols.facts import ClassFacts, Parameter
from trueup.environment.symbols.symbols import Symbols


def config_class(symbols: Symbols, model_type: str | None) -> ClassFacts | None:
    """The library's configuration of that type; None where its package has none, or two."""
    package = (model_type or "").replace("-", "_")
    if not package.isidentifier():
        return None
    for name in dict.fromkeys((package, package.removesuffix("_text"))):
        module = symbols.module(f"transformers.models.{name}.configuration_{name}")
        if module is None:
            continue
        told = repr(model_type)
        found = [
            each for each in module.classes.values() if each.attributes.get("model_type") == told
        ]
        if len(found) == 1:
            return found[0]
    return None


def parameters(symbols: Symbols, owner: ClassFacts) -> dict[str, Parameter]:
    """The parameters of the constructor that such a class has."""
    found = symbols.member(owner.dotted, "__init__")
    if found is None or found[1] is None or isinstance(found[1], str):
        return {}
    return {each.name: each for each in found[1].parameters}


def default(source: str | None) -> Any:
    """The value of a literal's source; None where there is none."""
    try:
        return ast.literal_eval(source) if source is not None else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
