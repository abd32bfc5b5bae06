"""Code that hides what it runs: decoded and then run, reached by computed names, or unseen."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from trueup.doctor.audit.alarm import Kind
from trueup.doctor.audit.names import Names, constant_text
from trueup.doctor.audit.watched import (
    BEYOND_THE_EDGE,
    BIDI,
    DECODERS,
    DECODING_MODULES,
    ODD_ENCODING,
    POWERFUL,
    RUNNERS,
)

# Shorter lines are seen whole.
EDGE = 150
ENCODINGS = ("rot13", "rot_13", "hex", "hex_codec", "base64", "zlib", "bz2", "unicode_escape")


class Disguises:
    """Knows which variables of a module hold something that was decoded."""

    def __init__(self, nodes: Sequence[ast.AST], names: Names) -> None:
        self.names = names
        self._decoded: set[str] = set()
        assignments = [node for node in nodes if isinstance(node, ast.Assign)]
        for _ in range(3):  # what is decoded may be handed on
            before = len(self._decoded)
            for node in assignments:
                if self._is_decoded(node.value):
                    targets = [each for target in node.targets for each in ast.walk(target)]
                    self._decoded |= {each.id for each in targets if isinstance(each, ast.Name)}
            if len(self._decoded) == before:
                break

    def of_call(self, node: ast.Call, name: str | None) -> Iterator[tuple[Kind, str]]:
        """What a call hides."""
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if name in RUNNERS and any(self._is_decoded(each) for each in arguments[:2]):
            yield "obfuscated", f"`{name}` of something decoded"
        if name == "getattr" and len(node.args) >= 2:
            base = self.names.meaning(node.args[0])
            computed = constant_text(node.args[1])
            if base in (*POWERFUL, "__builtins__") and computed is None:
                yield "obfuscated", f"`getattr` of `{base}` by a computed name"
        if isinstance(node.func, ast.Subscript):
            base = self.names.meaning(node.func.value)
            if base in (*POWERFUL, "__builtins__") and constant_text(node.func.slice) is None:
                yield "obfuscated", f"a computed function of `{base}`"

    def _is_decoded(self, value: ast.AST) -> bool:
        for node in ast.walk(value):
            if isinstance(node, ast.Name) and node.id in self._decoded:
                return True
            if isinstance(node, ast.Call):
                name = self.names.meaning(node.func)
                if name is not None and (name in DECODERS or name.startswith(DECODING_MODULES)):
                    return True
                if _is_odd_decoding(node):
                    return True
        return False


def _is_odd_decoding(node: ast.Call) -> bool:
    """`text.decode("rot13")` and `bytes.fromhex(text)`."""
    if not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr == "fromhex":
        return True
    encoding = constant_text(node.args[0]) if node.args else None
    return node.func.attr == "decode" and encoding is not None and encoding.lower() in ENCODINGS


def disguised_text(source: str) -> Iterator[tuple[Kind, str, int]]:
    """What people who read the file would not see."""
    lines = source.split("\n")
    has_turns = BIDI.search(source) is not None
    for number, line in enumerate(lines, start=1):
        if has_turns and BIDI.search(line):
            yield "obfuscated", "characters that turn the direction of the text", number
        if len(line) > EDGE and BEYOND_THE_EDGE.search(line):
            yield "obfuscated", "text far to the right of a line's end", number
    for number, line in enumerate(lines[:2], start=1):
        if ODD_ENCODING.search(line.encode("utf-8", "replace")):
            yield "obfuscated", "an encoding that hides the text", number
