"""What goes wrong, as data that can be sent; the words for people are the near end's."""

from __future__ import annotations

from typing import Any


class SpecFault(Exception):
    """The model cannot be what was asked for; `kind` says why, `subject` is the value."""

    def __init__(self, kind: str, subject: str, **more: Any) -> None:
        super().__init__(f"{kind}: {subject}")
        self.facts = {"type": kind, "subject": subject, **more}


def error_of(error: BaseException) -> dict[str, Any]:
    """The type, the message, and what else is known of an exception."""
    if isinstance(error, SpecFault):
        return {"message": str(error), **error.facts}
    shape: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    if root is not error:  # transformers hides what failed behind "Could not import module"
        shape["message"] = f"{error} ({type(root).__name__}: {root})"
    if isinstance(root, ImportError) and root.name:
        shape["subject"] = root.name
    return shape
