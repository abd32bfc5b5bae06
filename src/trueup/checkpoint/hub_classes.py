"""Classes in a directory's Python files, and which of them the weights are of.

For models that are loaded by a class of their own with huggingface_hub's mixin: config.json holds
its arguments, and nothing else says what the model is. Parses, never runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import HubClass, HubModel, TensorInfo
from trueup.checkpoint.layouts import kronos
from trueup.checkpoint.layouts.layout import Evidence
from trueup.checkpoint.remote_code import parse_file

MIXINS = ("PyTorchModelHubMixin", "ModelHubMixin")
# A scan for one class: nobody writes it into a file of a megabyte.
FILE_LIMIT, FILE_BYTES = 40, 512 * 1024
KNOWN = (
    HubClass(name="KronosTokenizer", path=None, line=None, required=kronos.TOKENIZER_ARGUMENTS),
    HubClass(name="Kronos", path=None, line=None, required=kronos.MODEL_ARGUMENTS),
)
# So many arguments of a known class in a config that has no other sign.
SIGNS_IN_A_CONFIG = 5


def read_classes(
    directory: Path, files: Mapping[str, int]
) -> tuple[dict[str, tuple[str, ...]], tuple[HubClass, ...]]:
    """The names of classes by file, and those with the mixin."""
    names: dict[str, tuple[str, ...]] = {}
    found: list[HubClass] = []
    paths = sorted(
        name for name, size in files.items() if name.endswith(".py") and size <= FILE_BYTES
    )
    for path in paths[:FILE_LIMIT]:
        tree = parse_file(directory, path)
        classes = {
            node.name: node
            for node in (tree.body if tree is not None else ())
            if isinstance(node, ast.ClassDef)
        }
        if classes:
            names[path] = tuple(classes)
        found += [
            _hub_class(node, path, classes)
            for node in classes.values()
            if _has_mixin(node, classes, set())
        ]
    return names, tuple(found)


def choose_class(
    classes: tuple[HubClass, ...],
    tensors: Mapping[str, TensorInfo],
    config: Mapping[str, Any],
    *,
    is_of_library: bool,
) -> HubModel | None:
    """The class that the weights, else the config, are of; None where there is none.

    `is_of_library` where the config says that transformers loads the model.
    """
    evidence = Evidence(tensors=tensors)
    layout = next((each for each in kronos.LAYOUTS if each.recognise(evidence)), None)
    if layout is not None:
        everything = (*classes, *KNOWN)
        chosen = next(each for each in everything if each.name == layout.class_name)
        others = [each for each in everything if each.name != chosen.name]
        return HubModel(chosen=chosen, others=tuple({each.name: each for each in others}.values()))
    if is_of_library:
        return None
    if not classes:
        if tensors:
            return None
        matches = {each: _share(each, config) for each in KNOWN}
        best = max(KNOWN, key=lambda each: matches[each])
        if matches[best] < SIGNS_IN_A_CONFIG:
            return None
        return HubModel(chosen=best, others=tuple(each for each in KNOWN if each != best))
    tops = {name.partition(".")[0] for name in tensors}
    best = max(classes, key=lambda each: (len(tops & each.attributes), _share(each, config)))
    if tops and not tops & best.attributes:
        return None
    return HubModel(chosen=best, others=tuple(each for each in classes if each != best))


def _share(candidate: HubClass, config: Mapping[str, Any]) -> int:
    return sum(name in config for name in (*candidate.required, *candidate.optional))


def _has_mixin(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef], seen: set[str]) -> bool:
    for base in node.bases:
        name = _name(base)
        if name in MIXINS:
            return True
        if name in classes and name not in seen:
            seen.add(name)
            if _has_mixin(classes[name], classes, seen):
                return True
    return False


def _name(base: ast.expr) -> str:
    if isinstance(base, ast.Attribute):
        return base.attr
    return base.id if isinstance(base, ast.Name) else ""


def _hub_class(node: ast.ClassDef, path: str, classes: Mapping[str, ast.ClassDef]) -> HubClass:
    start: ast.FunctionDef | None = None
    attributes: set[str] = set()
    for owner in _lineage(node, classes):
        own = next(
            (
                each
                for each in owner.body
                if isinstance(each, ast.FunctionDef) and each.name == "__init__"
            ),
            None,
        )
        start = start or own
        attributes |= set(_set_on_self(own)) if own is not None else set()
    required, optional, takes_any = _arguments(start)
    return HubClass(
        name=node.name,
        path=path,
        line=start.lineno if start is not None else node.lineno,
        required=required,
        optional=optional,
        takes_any=takes_any,
        attributes=frozenset(attributes),
    )


def _lineage(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
    found: list[ast.ClassDef] = []
    pending = [node]
    while pending:
        current = pending.pop(0)
        if current not in found:
            found.append(current)
            pending += [classes[name] for base in current.bases if (name := _name(base)) in classes]
    return found


def _arguments(
    start: ast.FunctionDef | None,
) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """The names without and with a default, and whether any other is taken."""
    if start is None:
        return (), (), False
    listed = start.args
    positional = [*listed.posonlyargs, *listed.args][1:]
    border = len(positional) - len(listed.defaults)
    required = [each.arg for each in positional[: max(border, 0)]]
    optional = [each.arg for each in positional[max(border, 0) :]]
    for argument, default in zip(listed.kwonlyargs, listed.kw_defaults, strict=True):
        (required if default is None else optional).append(argument.arg)
    return tuple(required), tuple(optional), listed.kwarg is not None


def _set_on_self(start: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(start):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        ):
            yield node.attr
