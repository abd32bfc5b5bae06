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
MODEL_ENDING = "ForCausalLM"
HEADS = ("lm_head", "output")
PLAIN_HEAD = "Linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCode:
    """The shipped modeling code.

    `rope_base` is the default of its plain rope, None if unknown. `given_base` is what the code
    gives the rope instead where it makes one: a number, the text of another expression, or None.
    `odd_head` names the class of a head that is neither linear nor known to have unit rows.
    """

    has_code: bool
    has_alibi: bool
    rope_base: float | None
    has_unit_rows: bool
    given_base: float | str | None = None
    odd_head: str | None = None


def read_code(checkpoint: Checkpoint) -> LlamaCode:
    """What the modeling code of `checkpoint` says."""
    nodes = list(modeling_nodes(checkpoint))
    head = _head_class(nodes)
    has_unit_rows = head in _normalising(nodes)
    return LlamaCode(
        has_code=bool(nodes),
        has_alibi=any(ALIBI_MARK in name.lower() for name in _functions(nodes)),
        rope_base=_rope_base(nodes),
        has_unit_rows=has_unit_rows,
        given_base=_given_base(nodes),
        odd_head=None if has_unit_rows or head == PLAIN_HEAD else head,
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


def _given_base(nodes: list[ast.AST]) -> float | str | None:
    """The `base` of the calls that make a rope, where one gives it."""
    place = _place_of_base(nodes)
    for node in nodes:
        if not (isinstance(node, ast.Call) and _last_name(node.func).endswith(ROPE_ENDING)):
            continue
        given = [each.value for each in node.keywords if each.arg == "base"]
        given += node.args[place : place + 1]
        if given:
            value = given[0]
            if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
                return float(value.value)
            return ast.unparse(value)
    return None


def _place_of_base(nodes: list[ast.AST]) -> int:
    """Which positional argument of a rope is its base, the third where no rope tells."""
    for node in nodes:
        if isinstance(node, ast.ClassDef) and node.name.endswith(ROPE_ENDING):
            for function in node.body:
                if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                    names = [argument.arg for argument in function.args.args[1:]]
                    if "base" in names:
                        return names.index("base")
    return 2


def _normalising(nodes: list[ast.AST]) -> frozenset[str]:
    """The code's own classes that normalise something, as a head with rows of unit length."""
    return frozenset(
        node.name
        for node in nodes
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(inner, ast.Call) and _last_name(inner.func) == "normalize"
            for inner in ast.walk(node)
        )
    )


def _head_class(nodes: list[ast.AST]) -> str | None:
    """The class that a causal model makes its head of."""
    for model in nodes:
        if not (isinstance(model, ast.ClassDef) and model.name.endswith(MODEL_ENDING)):
            continue
        for node in ast.walk(model):
            if (
                isinstance(node, ast.Assign)
                and any(_last_name(target) in HEADS for target in node.targets)
                and isinstance(node.value, ast.Call)
            ):
                return _last_name(node.value.func)
    return None


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
