"""What a name in a module means: `sp.run` after `import subprocess as sp` is `subprocess.run`."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from trueup.doctor.audit.watched import BUILTINS

# How deep expressions are followed, and how long a name may become.
CHAIN_LIMIT, NAME_LIMIT = 50, 120
VARIANT_LIMIT = 8


class Names:
    """The imports and plain second names of a module, wherever they stand in it.

    A name that is bound to several things means one of them, by `choice`: `variants` says how many
    there are to look at.
    """

    def __init__(self, nodes: Sequence[ast.AST], choice: int = 0) -> None:
        self._choice = choice
        self._meanings: dict[str, list[str]] = {}
        self._attributes: dict[int, str | None] = {}
        self.stars: list[tuple[str, int]] = []
        renamed: list[tuple[str, ast.expr]] = []
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    self._bind(alias.asname or top, alias.name if alias.asname else top)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    if alias.name == "*":
                        self.stars.append((node.module, node.lineno))
                    self._bind(alias.asname or alias.name, f"{node.module}.{alias.name}")
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                renamed.append((node.targets[0].id, node.value))
        for name, value in renamed:
            known = None if isinstance(value, ast.Call) else self.meaning(value)
            if known is not None:
                self._bind(name, known)
        self._attributes.clear()  # some were met before what they mean was known
        self.variants = min(VARIANT_LIMIT, max(map(len, self._meanings.values()), default=1))

    def _bind(self, name: str, meaning: str) -> None:
        known = self._meanings.setdefault(name, [])
        if meaning not in known:
            known.append(meaning)

    def meaning(self, node: ast.AST, depth: int = 0) -> str | None:
        """The dotted name of what `node` refers to, None where that is not from an import."""
        if depth > CHAIN_LIMIT:
            return None
        if isinstance(node, ast.Name):
            return self._of_name(node.id)
        if isinstance(node, ast.Attribute):
            return self._of_attribute(node, depth + 1)
        if isinstance(node, ast.Call):
            return self._of_call(node, depth + 1)
        if isinstance(node, ast.Subscript):
            return self._of_subscript(node, depth + 1)
        return None

    def _of_attribute(self, node: ast.Attribute, depth: int) -> str | None:
        """Without recursion, and each part once: code may chain thousands of them."""
        chain: list[ast.Attribute] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute) and id(base) not in self._attributes:
            chain.append(base)
            base = base.value
        is_known = isinstance(base, ast.Attribute)
        known = self._attributes[id(base)] if is_known else self.meaning(base, depth)
        for each in reversed(chain):
            is_name = known is not None and len(known) < NAME_LIMIT
            known = _plain(f"{known}.{each.attr}") if is_name else None
            self._attributes[id(each)] = known
        return known

    def _of_name(self, name: str) -> str | None:
        known = self._meanings.get(name)
        if known:
            return _plain(known[min(self._choice, len(known) - 1)])
        return _plain(name) if name in BUILTINS else None

    def _of_call(self, node: ast.Call, depth: int) -> str | None:
        function = self.meaning(node.func, depth)
        if function in ("__import__", "importlib.import_module") and node.args:
            return constant_text(node.args[0])
        if function == "getattr" and len(node.args) >= 2:
            base, name = self.meaning(node.args[0], depth), constant_text(node.args[1])
            if base is not None and name is not None:
                return _plain(f"{base}.{name}")
        if function is None and isinstance(node.func, ast.Call) and len(node.args) == 1:
            return self.got(node.func, node.args[0], "operator.attrgetter", depth)
        if function in ("vars", "globals", "locals"):
            return self.meaning(node.args[0], depth) if node.args else "globals"
        return None

    def got(self, getter: ast.Call, base: ast.AST, maker: str, depth: int = 0) -> str | None:
        """What `maker("name")`, a function of `operator`, takes from `base`."""
        if depth > CHAIN_LIMIT or self.meaning(getter.func, depth) != maker or not getter.args:
            return None
        of, name = self.meaning(base, depth), constant_text(getter.args[0])
        return None if of is None or name is None else _plain(f"{of}.{name}")

    def _of_subscript(self, node: ast.Subscript, depth: int) -> str | None:
        base, key = self.meaning(node.value, depth), constant_text(node.slice)
        if base is None or key is None:
            return None
        if base in ("sys.modules", "globals"):
            return _plain(key)
        return _plain(f"{base}.{key}")


def _plain(name: str) -> str:
    name = name.replace(".__dict__", "")
    for prefix in ("builtins.", "__builtins__.", "__builtin__."):
        name = name.removeprefix(prefix)
    return name


def constant_text(node: ast.AST | None, depth: int = 0) -> str | None:
    """The string that an expression of constants gives, joined and reversed ones too."""
    if node is None or depth > CHAIN_LIMIT:
        return None
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bytes):
            return node.value.decode("latin-1")
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = constant_text(node.left, depth + 1), constant_text(node.right, depth + 1)
        return None if left is None or right is None else left + right
    if isinstance(node, ast.JoinedStr):
        return _joined("", node.values, depth)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        step = node.slice.step
        is_reversed = isinstance(step, ast.UnaryOp) and isinstance(step.op, ast.USub)
        text = constant_text(node.value, depth + 1)
        return text[::-1] if text is not None and is_reversed else None
    if isinstance(node, ast.Call):
        return _called_text(node, depth)
    return None


def _called_text(node: ast.Call, depth: int) -> str | None:
    function = node.func
    if isinstance(function, ast.Name) and function.id == "chr" and len(node.args) == 1:
        number = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
        return chr(number) if isinstance(number, int) and 0 <= number < 0x110000 else None
    if not isinstance(function, ast.Attribute):
        return None
    if function.attr == "join" and len(node.args) == 1:
        between, items = constant_text(function.value, depth + 1), node.args[0]
        if between is not None and isinstance(items, ast.List | ast.Tuple):
            return _joined(between, items.elts, depth)
    if function.attr == "decode" and not node.args:
        return constant_text(function.value, depth + 1)
    return None


def _joined(between: str, items: list[ast.expr], depth: int) -> str | None:
    texts = [constant_text(item, depth + 1) for item in items]
    known = [text for text in texts if text is not None]
    return between.join(known) if len(known) == len(texts) else None
