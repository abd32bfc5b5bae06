"""What the lazy modules of transformers export, from the source that fills their tables.

The tables were written out by hand up to 4.47 and are collected from each module's `__all__`
since. Pure. Every optional backend counts as installed: a name without its backend can still be
imported, and fails only where it is used.
"""

from __future__ import annotations

import ast
import re

LAZY_CLASS = "_LazyModule"
COLLECTOR = "define_import_structure"
ALL_LINE = re.compile(rb"[^=\n]*\+?=\s*")
QUOTED = re.compile(rb"""["']([^"'\n]+)["']""")
DEFINED = re.compile(rb"^(?:class|def)\s+(\w+)", re.MULTILINE)
UNCOLLECTED = ("convert_", "modular_")
ALIAS_MAKERS = ("_create_tokenization_alias", "_create_module_alias")
ALIAS_TABLE = "_LEGACY_MODULE_ALIASES"
# The key in `aliases` that says: `image_processing_x_fast` stands for `image_processing_x`.
FAST_IMAGES = "image_processing_*_fast"
FAST_IMAGE_ALIAS = re.compile(rb"[)}]_fast\b")


def is_replaced(node: ast.stmt) -> ast.Call | None:
    """The `_LazyModule(...)` call where the statement puts one in the module's place."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
        return None
    function = node.value.func
    return node.value if isinstance(function, ast.Name) and function.id == LAZY_CLASS else None


def extra_names(call: ast.Call) -> list[str]:
    """Names that the lazy module gets as objects."""
    return [
        key.value
        for keyword in call.keywords
        if keyword.arg == "extra_objects" and isinstance(keyword.value, ast.Dict)
        for key in keyword.value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]


class ImportTables:
    """Dictionaries of submodule to names, as the module's statements fill them."""

    def __init__(self) -> None:
        self.submodules: dict[str, list[str]] = {}
        self.is_collected = False
        self.collected_folder = ""
        self.aliases: dict[str, str] = {}

    def note(self, node: ast.stmt) -> None:
        """Take over what one statement does to a table."""
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as table):
                if name == ALIAS_TABLE:
                    self._alias_table(table)
                else:
                    self._table(table)
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str(key)))]):
                self._add(key, node.value)
            case ast.AugAssign(target=ast.Subscript(slice=ast.Constant(value=str(key)))):
                self._add(key, node.value)
            case ast.Expr(value=ast.Call() as call):
                self._call(call)
        if isinstance(node, ast.Assign):
            self._collect(node.value)

    def _table(self, table: ast.Dict) -> None:
        for key, value in zip(table.keys, table.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                self._add(key.value, value)

    def _alias_table(self, table: ast.Dict) -> None:
        for key, value in zip(table.keys, table.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                self.aliases[str(key.value)] = str(value.value)

    def _call(self, call: ast.Call) -> None:
        match call:
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Subscript(slice=ast.Constant(value=str(key))),
                    attr="append" | "extend",
                ),
                args=[value],
            ):
                self._add(key, value)
            case ast.Call(
                func=ast.Name(id=name), args=[ast.JoinedStr() as alias, ast.Constant(value=target)]
            ) if name in ALIAS_MAKERS:
                words = [part.value for part in alias.values if isinstance(part, ast.Constant)]
                self.aliases["".join(map(str, words)).lstrip(".")] = str(target).lstrip(".")

    def _collect(self, value: ast.expr) -> None:
        for node in ast.walk(value):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == COLLECTOR
            ):
                self.is_collected = True
                for keyword in node.keywords:
                    if keyword.arg == "prefix" and isinstance(keyword.value, ast.Constant):
                        self.collected_folder = str(keyword.value.value)

    def _add(self, submodule: str, value: ast.expr) -> None:
        names = self.submodules.setdefault(submodule, [])
        items = value.elts if isinstance(value, (ast.List, ast.Tuple, ast.Set)) else [value]
        names += [
            item.value
            for item in items
            if isinstance(item, ast.Constant) and isinstance(item.value, str)
        ]


def collected_names(source: bytes) -> list[str]:
    """Names that a module of a collected package exports: `__all__`, and what `requires` marks."""
    names: list[str] = []
    # Plain searches first: most of the bytes of thousands of files are neither.
    source = b"\n" + source
    at = source.find(b"\n__all__")
    while at >= 0:
        if match := ALL_LINE.match(source, at + 1):
            end = source.find(b"]", match.end())
            names += [name.decode() for name in QUOTED.findall(source, match.end(), end)]
        at = source.find(b"\n__all__", at + 1)
    at = source.find(b"\n@requires")
    while at >= 0:
        if defined := DEFINED.search(source, at):
            names.append(defined[1].decode())
        at = source.find(b"\n@requires", at + 1)
    return list(dict.fromkeys(names))


def is_collected(file_name: str) -> bool:
    """Whether a file of a collected package is looked at."""
    return (
        file_name.endswith(".py")
        and file_name != "__init__.py"
        and not file_name.startswith(UNCOLLECTED)
    )
