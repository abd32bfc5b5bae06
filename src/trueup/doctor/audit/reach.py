"""Calls whose arguments decide what they reach: `open` to write, `torch.load`, imports by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trueup.doctor.audit.alarm import Kind
from trueup.doctor.audit.kinds import is_shared, watched_kind
from trueup.doctor.audit.names import Names, constant_text
from trueup.doctor.audit.watched import SECRET_VARIABLE

OPENERS = ("open", "io.open", "codecs.open", "gzip.open", "bz2.open", "lzma.open")
IMPORTERS = ("importlib.import_module", "__import__")
SAFE_YAML = ("SafeLoader", "CSafeLoader", "BaseLoader")


def reaching_call(node: ast.Call, name: str | None, names: Names) -> Iterator[tuple[Kind, str]]:
    """What a call reaches because of its arguments."""
    keywords = {each.arg: each.value for each in node.keywords}
    if _is(keywords.get("trust_remote_code"), True):
        yield "imports", "`trust_remote_code=True`: the code of another repository"
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("write_text", "write_bytes"):
        yield "writes", f"`{node.func.attr}`"
    if isinstance(node.func, ast.Call) and len(node.args) == 1:
        called = names.got(node.func, node.args[0], "operator.methodcaller")
        if called is not None and (kind := watched_kind(called)) is not None:
            yield kind, f"`{called}`"
    if name is None:
        return
    if name == "setattr" and len(node.args) == 3:
        base, attribute = names.meaning(node.args[0]), constant_text(node.args[1])
        if base is not None and is_shared(f"{base}."):
            yield "imports", f"`{base}.{attribute or '…'}` is replaced"
    if name in OPENERS:
        mode = constant_text(node.args[1] if len(node.args) > 1 else keywords.get("mode"))
        if mode is not None and set(mode) & set("wax+"):
            yield "writes", f'`{name}` with `"{mode[:8]}"`'
    elif name in IMPORTERS:
        if node.args and constant_text(node.args[0]) is None:
            yield "imports", f"`{name}` of a computed name"
    elif name == "torch.load":
        if not _is(keywords.get("weights_only"), True):
            yield "unpickles", "`torch.load` without `weights_only=True`"
    elif name == "numpy.load":
        if _is(keywords.get("allow_pickle"), True):
            yield "unpickles", "`numpy.load` with `allow_pickle=True`"
    elif name in ("yaml.load", "yaml.load_all"):
        loader = keywords.get("Loader") or (node.args[1] if len(node.args) > 1 else None)
        meaning = names.meaning(loader) if loader is not None else None
        if meaning is None or not meaning.endswith(SAFE_YAML):
            yield "unpickles", f"`{name}` without a safe loader"
    elif name in ("os.getenv", "os.environ.get", "os.environ.pop"):
        variable = constant_text(node.args[0]) if node.args else None
        if variable is not None and SECRET_VARIABLE.search(variable):
            yield "secrets", f"the variable `{variable[:60]}`"


def _is(node: ast.AST | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
