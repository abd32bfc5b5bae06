"""Arguments against parameters, as Python binds them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from trueup.doctor.walk.objects import Objects
from trueup.doctor.walk.values import (
    UNKNOWN,
    Const,
    Items,
    OwnFunction,
    Scope,
    Table,
    Value,
)
from trueup.environment.symbols.facts import FunctionFacts, Parameter


class Arguments(Objects):
    """Binds arguments."""

    def bind(
        self,
        function: OwnFunction,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        is_open: bool,
    ) -> Scope:
        """The parameters' values.

        Raises:
            RaisedError: the call does not fit; the deepest own frame is the caller's.
        """
        given = function.node.args
        named = [each.arg for each in (*given.posonlyargs, *given.args)]
        only = [each.arg for each in given.kwonlyargs]
        scope: Scope = dict(zip(named, arguments, strict=False))
        label = f"{function.qualified}()"
        if len(arguments) > len(named) and given.vararg is None and not is_open:
            self.fail(
                "argument",
                "TypeError",
                f"{label} takes {len(named)} positional arguments but {len(arguments)} were given",
                subject=function.qualified,
            )
        if given.vararg is not None:
            rest = list(arguments[len(named) :])
            scope[given.vararg.arg] = Items("tuple", None if is_open else rest)
        extra: dict[Any, Value] = {}
        for name, value in keywords.items():
            if name in scope and name in named:
                self.fail(
                    "argument",
                    "TypeError",
                    f"{label} got multiple values for argument '{name}'",
                    subject=function.qualified,
                    owner=name,
                )
            if name in named or name in only:
                scope[name] = value
            elif given.kwarg is not None:
                extra[name] = value
            else:
                self.fail(
                    "argument",
                    "TypeError",
                    f"{label} got an unexpected keyword argument '{name}'",
                    subject=function.qualified,
                    owner=name,
                )
        if given.kwarg is not None:
            scope[given.kwarg.arg] = Table(extra, is_open=is_open)
        missing = [each for each in (*named, *only) if each not in scope]
        for name in list(missing):
            if name in function.defaults or isinstance(function.node, ast.Lambda):
                scope[name] = function.defaults.get(name, UNKNOWN)
                missing.remove(name)
        if missing and not is_open:
            told = ", ".join(f"'{each}'" for each in missing)
            self.fail(
                "argument",
                "TypeError",
                f"{label} missing {len(missing)} required positional "
                f"argument{'s' if len(missing) > 1 else ''}: {told}",
                subject=function.qualified,
                owner=missing[0],
            )
        for name in missing:
            scope[name] = UNKNOWN
        return scope

    def check_dtype(self, name: str, keywords: Mapping[str, Value]) -> None:
        """See that a dtype for torch is none of its names.

        Raises:
            RaisedError: it is a text.
        """
        dtype = keywords.get("dtype")
        if isinstance(dtype, Const) and isinstance(dtype.value, str):
            self.fail(
                "value",
                "TypeError",
                f"{name}(): argument 'dtype' must be torch.dtype, not str",
                subject="dtype",
            )

    def check_call(
        self,
        function: FunctionFacts,
        count: int,
        keywords: Mapping[str, Value],
        is_open: bool,
        *,
        bound: bool,
    ) -> None:
        """See that a call fits a function of the library.

        Raises:
            RaisedError: it does not.
        """
        parameters = function.parameters
        if not parameters and bound:
            return
        if function.kind == "static" and bound:
            count -= 1
        label = f"{function.name}()"
        kinds = {each.kind for each in parameters}
        positional = [each for each in parameters if each.kind in ("positional_only", "positional")]
        if count > len(positional) and "star" not in kinds and not is_open:
            self.fail(
                "argument",
                "TypeError",
                f"{label} takes {len(positional)} positional arguments but {count} were given",
                subject=function.name,
            )
        names = {each.name for each in parameters if each.kind in ("positional", "keyword")}
        for name in keywords:
            if name not in names and "double_star" not in kinds:
                self.fail(
                    "argument",
                    "TypeError",
                    f"{label} got an unexpected keyword argument '{name}'",
                    subject=function.name,
                    owner=name,
                )
        if not is_open:
            self._check_missing(label, function, positional[count:], keywords)

    def _check_missing(
        self,
        label: str,
        function: FunctionFacts,
        rest: Sequence[Parameter],
        keywords: Mapping[str, Value],
    ) -> None:
        missing = [each.name for each in rest if not each.has_default and each.name not in keywords]
        if missing:
            self.fail(
                "argument",
                "TypeError",
                f"{label} missing {len(missing)} required positional arguments: "
                + ", ".join(f"'{each}'" for each in missing),
                subject=function.name,
                owner=missing[0],
            )
