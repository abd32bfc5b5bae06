"""What the shipped code of a GLM checkpoint decides and its config does not tell.

Reads syntax trees only: what `rope_ratio` means, in which dtype the rope is built, and which
tokenizer and chat format the checkpoint has. Code that it does not understand stays None.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from trueup.checkpoint.checkpoint import Checkpoint, RemoteModule

RatioMeaning = Literal["unused", "multiplies base", "divides positions"]
ROPE_CLASS = "RotaryEmbedding"
FLOAT32_NAMES = ("float", "float32")


@dataclass(frozen=True, slots=True, kw_only=True)
class RopeCode:
    """The rope of the shipped code; None where the code is not understood."""

    base: float | None = None
    ratio: RatioMeaning | None = None
    is_float32: bool | None = None


def read_rope(checkpoint: Checkpoint) -> RopeCode:
    """How the shipped modeling code computes its rotary embedding."""
    classes = [
        node
        for node in _nodes(checkpoint)
        if isinstance(node, ast.ClassDef) and node.name == ROPE_CLASS
    ]
    if len(classes) != 1:
        return RopeCode()
    functions = [
        node
        for node in classes[0].body
        if isinstance(node, ast.FunctionDef) and node.name == "forward_impl"
    ]
    if len(functions) != 1:
        return RopeCode()
    function = functions[0]
    return RopeCode(
        base=_default_of(function, "base"),
        ratio=_ratio_meaning(function),
        is_float32=_is_float32(function),
    )


def tokenizer_family(checkpoint: Checkpoint) -> str | None:
    """`chatglm2`, `chatglm3` or `glm4`, by the vocabulary and the role tokens of the code."""
    reference = checkpoint.auto_map.get("AutoTokenizer", "")
    module = checkpoint.remote_code.get(f"{reference.partition('.')[0]}.py")
    if module is None or module.tree is None:
        return None
    imported = set(_imported(module))
    if "tiktoken" in imported:
        return "glm4"
    if "sentencepiece" not in imported:
        return None
    return "chatglm3" if _has_constant(module, "<|assistant|>") else "chatglm2"


def mentions(checkpoint: Checkpoint, name: str) -> bool:
    """Whether the shipped modeling code reads an attribute or a key called `name`."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.Constant) and node.value == name)
        for node in _nodes(checkpoint)
    )


def defines(checkpoint: Checkpoint, name: str) -> bool:
    """Whether the shipped modeling code defines a function called `name`."""
    return any(
        isinstance(node, ast.FunctionDef) and node.name == name for node in _nodes(checkpoint)
    )


def _nodes(checkpoint: Checkpoint) -> Iterator[ast.AST]:
    for path, module in checkpoint.remote_code.items():
        if path.startswith("modeling"):
            yield from module.nodes


def _default_of(function: ast.FunctionDef, name: str) -> float | None:
    arguments = function.args.args
    defaults = dict(
        zip(
            [argument.arg for argument in arguments][::-1],
            function.args.defaults[::-1],
            strict=False,
        )
    )
    default = defaults.get(name)
    if isinstance(default, ast.Constant) and isinstance(default.value, int | float):
        return float(default.value)
    return None


def _ratio_meaning(function: ast.FunctionDef) -> RatioMeaning | None:
    uses = [node for node in ast.walk(function) if _is_ratio(node)]
    if not uses:
        return "unused"
    found: set[RatioMeaning] = set()
    explained = 0
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp):
            left, right, operator = node.left, node.right, node.op
        elif isinstance(node, ast.AugAssign):
            left, right, operator = node.target, node.value, node.op
        else:
            continue
        if isinstance(operator, ast.Div) and _is_ratio(right):
            found.add("divides positions")
            explained += 1
        elif isinstance(operator, ast.Mult) and (
            (_is_ratio(right) and _is_named(left, "base"))
            or (_is_ratio(left) and _is_named(right, "base"))
        ):
            found.add("multiplies base")
            explained += 1
    return found.pop() if len(found) == 1 and explained == len(uses) else None


def _is_ratio(node: ast.AST) -> bool:
    return _is_named(node, "rope_ratio") or (
        isinstance(node, ast.Attribute) and node.attr == "rope_ratio"
    )


def _is_named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_float32(function: ast.FunctionDef) -> bool | None:
    kinds = {
        _float_kind(keyword.value)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "arange"
        for keyword in node.keywords
        if keyword.arg == "dtype"
    }
    return kinds.pop() if len(kinds) == 1 else None


def _float_kind(node: ast.expr) -> bool | None:
    if isinstance(node, ast.Attribute) and node.attr in FLOAT32_NAMES:
        return True
    return False if _is_named(node, "dtype") else None


def _imported(module: RemoteModule) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _has_constant(module: RemoteModule, text: str) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == text for node in module.nodes)
