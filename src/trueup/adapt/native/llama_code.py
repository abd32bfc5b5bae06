"""What the shipped code of a Llama-shaped checkpoint decides and its config does not tell.

Reads syntax trees only: which positions it has, where its rope takes the base from, and whether
its head divides its rows by their length. Code that it does not understand stays None.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from trueup.checkpoint.checkpoint import Checkpoint

ROPE_ENDING = "RotaryEmbedding"
ALIBI_MARK = "alibi"


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCode:
    """The shipped modeling code; `rope_base` is the default of its plain rope, None if unknown."""

    has_code: bool
    has_alibi: bool
    rope_base: float | None
    has_unit_rows: bool


def read_code(checkpoint: Checkpoint) -> LlamaCode:
    """What the modeling code of `checkpoint` says."""
    nodes = list(modeling_nodes(checkpoint))
    return LlamaCode(
        has_code=bool(nodes),
        has_alibi=any(ALIBI_MARK in name.lower() for name in _functions(nodes)),
        rope_base=_rope_base(nodes),
        has_unit_rows=_has_unit_rows(nodes),
    )


def mentions(checkpoint: Checkpoint, name: str) -> bool:
    """Whether the shipped modeling code reads an attribute or a key called `name`."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.Constant) and node.value == name)
        for node in modeling_nodes(checkpoint)
    )


def modeling_nodes(checkpoint: Checkpoint) -> Iterator[ast.AST]:
    """Every node of the modeling files."""
    for path, module in checkpoint.remote_code.items():
        if path.startswith("modeling"):
            yield from module.nodes


def _functions(nodes: list[ast.AST]) -> Iterator[str]:
    yield from (node.name for node in nodes if isinstance(node, ast.FunctionDef))


def _rope_base(nodes: list[ast.AST]) -> float | None:
    """The default base of the one rope that inherits from no other."""
    bases = set()
    for node in nodes:
        if not (isinstance(node, ast.ClassDef) and node.name.endswith(ROPE_ENDING)):
            continue
        if any(_last_name(base).endswith(ROPE_ENDING) for base in node.bases):
            continue
        bases |= {
            _default_of(function, "base")
            for function in node.body
            if isinstance(function, ast.FunctionDef) and function.name == "__init__"
        }
    return bases.pop() if len(bases) == 1 else None


def _default_of(function: ast.FunctionDef, name: str) -> float | None:
    arguments = [argument.arg for argument in function.args.args][::-1]
    defaults = dict(zip(arguments, function.args.defaults[::-1], strict=False))
    default = defaults.get(name)
    if isinstance(default, ast.Constant) and isinstance(default.value, int | float):
        return float(default.value)
    return None


def _has_unit_rows(nodes: list[ast.AST]) -> bool:
    """Whether `lm_head` is of a class of the code's own that normalises its weight."""
    normalising = {
        node.name
        for node in nodes
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(inner, ast.Call) and _last_name(inner.func) == "normalize"
            for inner in ast.walk(node)
        )
    }
    return any(
        isinstance(node, ast.Assign)
        and any(_last_name(target) == "lm_head" for target in node.targets)
        and isinstance(node.value, ast.Call)
        and _last_name(node.value.func) in normalising
        for node in nodes
    )


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
