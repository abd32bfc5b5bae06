"""The text of a model's own code while it is repaired, file by file; edits by libcst.

Comments and layout of what is not repaired stay as they are.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from trueup.doctor.code import CodeClass
from trueup.errors import AdaptError

if TYPE_CHECKING:
    import libcst as cst

# Comments of ours that no reader of the repaired file needs.
FOR_CHECKERS = re.compile(r"[ ]+#[ ](?:type: ignore|noqa).*")
# What a member is called once another one stands in its place.
KEPT = "_published_{name}"


class Sources:
    """The files of a model's code by their paths; `texts` are the repaired ones."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = dict(texts)

    def edit(self, path: str, change: cst.CSTTransformer) -> bool:
        """Carry out a change of one file; whether anything became another."""
        import libcst as cst

        before = self.texts[path]
        try:
            self.texts[path] = cst.parse_module(before).visit(change).code
        except cst.ParserSyntaxError as error:
            raise AdaptError(f"`{path}` cannot be parsed: {error}", where=path) from error
        return self.texts[path] != before

    def edit_all(self, change: Callable[[], cst.CSTTransformer]) -> bool:
        """Carry out a change in every file; whether any became another."""
        return any([self.edit(path, change()) for path in sorted(self.texts)])

    def add_member(self, owner: CodeClass, text: str) -> None:
        """Put statements at the end of a class's body."""
        self._edit_class(owner, lambda body: [*body, *_statements(text)])

    def add_function(self, owner: CodeClass, function: Callable[..., Any]) -> None:
        """Put a function of ours at the end of a class's body, as a method."""
        self.add_member(owner, function_text(function))

    def wrap(self, owner: CodeClass, name: str, function: Callable[..., Any]) -> None:
        """Put a function in the place of a method, which it finds as `_published_<name>`."""
        import libcst as cst

        published = KEPT.format(name=name)
        kept = published
        while f"def {kept}(" in self.texts[owner.module.path]:
            kept = f"{kept}_"  # another fix has wrapped it before
        text = function_text(function, name).replace(published, kept)

        def change(body: list[Any]) -> list[Any]:
            renamed = [
                each.with_changes(name=cst.Name(kept))
                if isinstance(each, cst.FunctionDef) and each.name.value == name
                else each
                for each in body
            ]
            return [*renamed, *_statements(text)]

        self._edit_class(owner, change)

    def add_top(self, path: str, text: str) -> None:
        """Put statements after the imports at the top of a file."""
        import libcst as cst

        module = cst.parse_module(self.texts[path])
        body: list[Any] = list(module.body)
        last = max((at for at, each in enumerate(body) if _is_import(each)), default=-1)
        body[last + 1 : last + 1] = _statements(text)
        self.texts[path] = module.with_changes(body=body).code

    def _edit_class(
        self,
        owner: CodeClass,
        change: Callable[[list[Any]], list[Any]],
    ) -> None:
        import libcst as cst

        class Change(cst.CSTTransformer):
            def leave_ClassDef(
                self, original_node: cst.ClassDef, updated_node: cst.ClassDef
            ) -> cst.ClassDef:
                if updated_node.name.value != owner.name:
                    return updated_node
                block = updated_node.body
                if not isinstance(block, cst.IndentedBlock):
                    return updated_node
                body: list[Any] = list(block.body)
                return updated_node.with_changes(body=block.with_changes(body=change(body)))

        if not self.edit(owner.module.path, Change()):
            raise AdaptError(
                f"`{owner.name}` could not be repaired: its class is not where it was found",
                where=owner.module.path,
            )


def function_text(function: Callable[..., Any], name: str | None = None) -> str:
    """The source of one of our functions, without annotations, which need imports of ours."""
    import libcst as cst

    class Bare(cst.CSTTransformer):
        def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:
            bare = updated_node.with_changes(annotation=None)
            none = cst.SimpleWhitespace("")
            tight = cst.AssignEqual(whitespace_before=none, whitespace_after=none)
            return bare.with_changes(equal=tight) if bare.default is not None else bare

        def leave_FunctionDef(
            self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
        ) -> cst.FunctionDef:
            own = original_node.name.value == function.__name__
            named = cst.Name(name) if name is not None and own else updated_node.name
            return updated_node.with_changes(returns=None, name=named)

    text = FOR_CHECKERS.sub("", textwrap.dedent(inspect.getsource(function)))
    return cst.parse_module(text).visit(Bare()).code


def _statements(text: str) -> list[Any]:
    import libcst as cst

    found: list[Any] = list(cst.parse_module(text).body)
    if not found:
        return []
    first = found[0].with_changes(leading_lines=[cst.EmptyLine(indent=False)])
    return [first, *found[1:]]


def _is_import(node: cst.BaseStatement) -> bool:
    import libcst as cst

    return isinstance(node, cst.SimpleStatementLine) and any(
        isinstance(each, cst.Import | cst.ImportFrom) for each in node.body
    )
