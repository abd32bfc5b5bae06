"""What a piece of a function's body stands for. Pure: syntax trees in, answers out."""

from __future__ import annotations

import ast
from collections.abc import Sequence

Function = ast.FunctionDef | ast.AsyncFunctionDef

CONFIG_NAMES = frozenset(
    {"config", "text_config", "decoder_config", "encoder_config", "model_config", "sub_config"}
)
# Who catches one of these foresees that an attribute is absent.
CATCHES_ABSENCE = frozenset({"AttributeError", "Exception", "BaseException"})


def is_abstract(function: Function) -> bool:
    """Whether the body only raises NotImplementedError."""
    body = [statement for statement in function.body if not _is_docstring(statement)]
    if len(body) != 1 or not isinstance(body[0], ast.Raise):
        return False
    raised = body[0].exc
    if isinstance(raised, ast.Call):
        raised = raised.func
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def returns(statements: Sequence[ast.stmt]) -> bool:
    """Whether one of the statements can leave the function."""
    for statement in statements:
        if isinstance(statement, ast.Return):
            return True
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for name in ("body", "orelse", "finalbody"):
            if returns(getattr(statement, name, ())):
                return True
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            if returns(part.body):
                return True
    return False


def catches_absence(handlers: Sequence[ast.ExceptHandler]) -> bool:
    """Whether one of the handlers would swallow an AttributeError."""
    for handler in handlers:
        if handler.type is None:
            return True
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        if any(isinstance(kind, ast.Name) and kind.id in CATCHES_ABSENCE for kind in kinds):
            return True
    return False


def literal_text(node: ast.expr) -> str | None:
    """A text that is written out and could be a name."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        return node.value
    return None


def is_super(node: ast.expr) -> bool:
    """`super()` or `super(Class, self)`."""
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
    )


def config_name(node: ast.expr) -> str | None:
    """`config`, `self.config`, `model.config`: the expression, where it stands for a config."""
    if isinstance(node, ast.Name) and node.id in CONFIG_NAMES:
        return node.id
    if isinstance(node, ast.Attribute) and node.attr in CONFIG_NAMES:
        head = node.value
        return f"{head.id}.{node.attr}" if isinstance(head, ast.Name) else f"….{node.attr}"
    return None
