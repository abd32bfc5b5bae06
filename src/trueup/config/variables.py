"""A configuration in plain types, with `${env.NAME}` replaced by that variable's value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from trueup.config.document import Document
from trueup.config.mistake import Key, Mistake
from trueup.errors import ConfigError

VARIABLE = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")
UNFINISHED = re.compile(r"\$\{[^}]*\}?")


class _Kept(Mapping[str, str]):
    """Has every variable, each as the reference to itself: nothing is replaced."""

    def __getitem__(self, name: str) -> str:
        return f"${{env.{name}}}"

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


KEPT: Mapping[str, str] = _Kept()
# YAML's references can make a small file endless.
MAX_VALUES = 100_000


def plain_tree(
    document: Document, environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[Mistake]]:
    """The file's content as dicts, lists, texts and numbers, and what could not be replaced.

    Raises: ConfigError where references of YAML make it endless.
    """
    filling = _Filling(document, environ)
    return filling.filled(document.tree, ()), filling.mistakes


class _Filling:
    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.mistakes: list[Mistake] = []
        self._document = document
        self._environ = environ
        self._values = 0

    def filled(self, node: Any, key: Key) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise ConfigError(
                f"the file holds more than {MAX_VALUES} values", where=str(self._document.path)
            )
        if isinstance(node, Mapping):
            return self._mapping(node, key)
        if isinstance(node, list):
            return [self.filled(each, (*key, index)) for index, each in enumerate(node)]
        if isinstance(node, bool) or node is None:
            return node
        for kind in (int, float):
            if isinstance(node, kind):
                return kind(node)
        return self._text(str(node), key) if isinstance(node, str) else node

    def _mapping(self, node: Mapping[Any, Any], key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for own, each in node.items():
            name = str(own)
            if name in found:
                self._note((*key, name), f"`{name}` is here twice, as a text and as a number")
            found[name] = self.filled(each, (*key, name))
        return found

    def _text(self, text: str, key: Key) -> str:
        for found in UNFINISHED.findall(text):
            if VARIABLE.fullmatch(found) is None:
                self._note(key, f"`{found}` is no reference, expected `${{env.NAME}}`")
                return text
        for name in VARIABLE.findall(text):
            if name not in self._environ:
                self._note(key, f"the environment variable `{name}` is not set", f"export {name}=…")
                return text
        return VARIABLE.sub(lambda match: self._environ[match[1]], text)

    def _note(self, key: Key, cause: str, hint: str | None = None) -> None:
        self.mistakes.append(self._document.mistake(key, cause, hint))
