"""What a walk asked of a library version and what it was told, so that it need not be walked again.

A walk depends on its library through its questions alone: a version that answers each of them in
the same way walks in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from trueup.environment.symbols.facts import ClassFacts, ModuleFacts
from trueup.environment.symbols.lookup import Found, Member, Symbols

T = TypeVar("T")
Question = tuple[str, ...]
Answers = dict[Question, Any]


class AskedSymbols(Symbols):
    """The names of a version, which keep what was asked of them."""

    def __init__(self, symbols: Symbols) -> None:
        self.library = symbols.library
        self.version = symbols.version
        self.is_exact = symbols.is_exact
        self.answers: Answers = {}
        self._symbols = symbols
        self._classes: dict[str, ClassFacts] = {}
        self._found: dict[str, Found | None] = {}
        self._lines: dict[str, tuple[ClassFacts, ...]] = {}

    def module(self, dotted: str) -> ModuleFacts | None:
        """As of any version."""
        found = self._symbols.module(dotted)
        self.answers["module", dotted] = told(found)
        if found is None:
            return None
        exports = Noted(found.exports, self.answers, "export", dotted)
        functions = Noted(found.functions, self.answers, "function", dotted)
        return replace(found, exports=exports, functions=functions)

    def resolve(self, dotted: str) -> Found | None:
        """As of any version."""
        if dotted not in self._found:
            found = self._symbols.resolve(dotted)
            self.answers["resolve", dotted] = told(found)
            self._found[dotted] = self._noted(found) if isinstance(found, ClassFacts) else found
        return self._found[dotted]

    def mro(self, dotted: str) -> tuple[ClassFacts, ...]:
        """As of any version."""
        if dotted not in self._lines:
            line = self._symbols.mro(dotted)
            self.answers["mro", dotted] = tuple(each.dotted for each in line)
            self._lines[dotted] = tuple(self._noted(each) for each in line)
        return self._lines[dotted]

    def unknown_bases(self, dotted: str) -> tuple[str, ...]:
        """As of any version."""
        found = self._symbols.unknown_bases(dotted)
        self.answers["unknown_bases", dotted] = found
        return found

    def member(self, dotted_class: str, name: str) -> Member | None:
        """As of any version."""
        found = self._symbols.member(dotted_class, name)
        self.answers["member", dotted_class, name] = found and (found[0].dotted, found[1])
        return (self._noted(found[0]), found[1]) if found is not None else None

    def has(self, dotted: str) -> bool:
        """As of any version."""
        return self.resolve(dotted) is not None

    def _noted(self, facts: ClassFacts) -> ClassFacts:
        if facts.dotted not in self._classes:
            self.answers["class", facts.dotted] = told(facts)
            self._classes[facts.dotted] = replace(
                facts,
                methods=Noted(facts.methods, self.answers, "method", facts.dotted),
                attributes=Noted(facts.attributes, self.answers, "attribute", facts.dotted),
            )
        return self._classes[facts.dotted]


class Noted(Mapping[str, T]):
    """A mapping that keeps what is asked of it."""

    __slots__ = ("_answers", "_dotted", "_given", "_has", "_kind")

    def __init__(self, given: Mapping[str, T], answers: Answers, kind: str, dotted: str) -> None:
        self._given = given
        self._answers = answers
        self._kind = kind
        self._has = f"has {kind}"
        self._dotted = dotted

    def __getitem__(self, key: str) -> T:
        self._answers[self._kind, self._dotted, key] = found = self._given.get(key)
        if found is None and key not in self._given:
            raise KeyError(key)
        return self._given[key]

    def __contains__(self, key: object) -> bool:
        is_there = key in self._given
        self._answers[self._has, self._dotted, str(key)] = is_there
        return is_there

    def __iter__(self) -> Iterator[str]:
        self._answers[f"all {self._kind}", self._dotted] = tuple(self._given)
        return iter(self._given)

    def __len__(self) -> int:
        self._answers[f"all {self._kind}", self._dotted] = tuple(self._given)
        return len(self._given)


def told(found: Found | None) -> Any:
    """What of an answer is looked at as a whole; parts of classes and modules are asked for."""
    if isinstance(found, ModuleFacts):
        return "module", found.name, found.has_getattr, found.is_lazy
    if isinstance(found, ClassFacts):
        return "class", found.dotted, found.bases, found.fields, found.decorators, found.metaclass
    return found


def answers_alike(answers: Answers, symbols: Symbols) -> bool:
    """Whether a version answers every question as it was answered."""
    return all(answer_of(symbols, question) == answer for question, answer in answers.items())


def answer_of(symbols: Symbols, question: Question) -> Any:
    """The answer of a version."""
    kind, dotted, *rest = question
    if kind in ("module", "resolve"):
        return told(symbols.module(dotted) if kind == "module" else symbols.resolve(dotted))
    if kind == "mro":
        return tuple(each.dotted for each in symbols.mro(dotted))
    if kind == "unknown_bases":
        return symbols.unknown_bases(dotted)
    if kind == "member":
        found = symbols.member(dotted, rest[0])
        return found and (found[0].dotted, found[1])
    is_of_module = kind.endswith(("export", "function"))
    owner = symbols.module(dotted) if is_of_module else symbols.resolve(dotted)
    if kind == "class":
        return told(owner)
    return _of_mapping(owner, kind, rest)


def _of_mapping(owner: Any, kind: str, rest: list[str]) -> Any:
    action, _, part = kind.rpartition(" ")
    given: Mapping[str, Any] = getattr(owner, f"{part}s", {})
    if action == "has":
        return rest[0] in given
    return tuple(given) if action == "all" else given.get(rest[0])
