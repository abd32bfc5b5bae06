"""Facts of a module as plain values for a file, and back.

A module is a dictionary of entries, so that what is equal in many versions can be stored once:
`""` its own facts, `i:module` the names imported from there, `x:name` another export that its
definitions do not tell, `v:name` a value, `f:name` a function, `c:Class` a class with the bare
names of methods of which nothing else is known, `m:Class.method` another method. Full names of
the library itself begin with a dot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from trueup.environment.symbols.facts import ClassFacts, Export, ExportKind, ModuleFacts
from trueup.environment.symbols.function_codec import ANYTHING, decode_function, encode_function

# Raised whenever what is stored changes: kept files of another format are read anew.
FORMAT = 2

EXPORT_LETTERS: dict[ExportKind, str] = {
    "class": "c", "function": "f", "value": "v", "import": "i", "submodule": "s",
}  # fmt: skip
EXPORT_KINDS = {letter: kind for kind, letter in EXPORT_LETTERS.items()}

Entries = dict[str, Any]
T = TypeVar("T")


def encode_module(facts: ModuleFacts) -> Entries:
    """The entries of a module."""
    entries: Entries = {
        "": [
            "p" * facts.is_package
            + "l" * facts.is_lazy
            + "s" * (not facts.has_bodies)
            + "o" * facts.is_opaque,
            list(facts.stars),
            None if facts.public is None else list(facts.public),
            list(facts.trees),
            dict(facts.aliases),
        ]
    }
    defined = {
        **dict.fromkeys(facts.values, "v"),
        **dict.fromkeys(facts.functions, "f"),
        **dict.fromkeys(facts.classes, "c"),
    }
    imported: dict[str, list[str]] = {}
    for name, export in facts.exports.items():
        if export.target is not None:
            source, _, last = export.target.rpartition(".")
            text = name if last == name else f"{last}={name}"
            imported.setdefault(source, []).append("~" * export.guarded + text)
        elif defined.get(name) != (text := _encode_export(export)):
            entries[f"x:{name}"] = text
    for source, words in imported.items():
        entries[f"i:{_short(source, facts.name)}"] = " ".join(sorted(words))
    for name, value in facts.values.items():
        entries[f"v:{name}"] = value
    for name, function in facts.functions.items():
        entries[f"f:{name}"] = encode_function(function)
    for name, known in facts.classes.items():
        methods = {key: encode_function(method) for key, method in known.methods.items()}
        entries[f"c:{name}"] = [
            [_short(base, facts.name) for base in known.bases],
            dict(known.attributes),
            list(known.fields),
            list(known.decorators),
            known.metaclass,
            " ".join(text[0] + method for method, text in methods.items() if _is_bare(text)),
        ]
        for method, payload in methods.items():
            if not _is_bare(payload):
                entries[f"m:{name}.{method}"] = payload
    return entries


def decode_module(name: str, entries: Mapping[str, Any]) -> ModuleFacts:
    """The facts of the module `name`; functions are decoded when they are asked for.

    Raises: ValueError, TypeError, KeyError or IndexError where the entries are damaged.
    """
    flags, stars, public, trees, aliases = entries[""]
    values: dict[str, str | None] = {}
    functions: dict[str, Any] = {}
    classes: dict[str, Any] = {}
    methods: dict[str, dict[str, Any]] = {}
    stated: dict[str, Export] = {}
    for key, payload in entries.items():
        kind, _, rest = key.partition(":")
        if kind == "i":
            source = full_name(rest, name)
            stated.update(
                {imported_name(word): decode_import(source, word) for word in payload.split()}
            )
        elif kind == "x":
            stated[rest] = decode_export(payload)
        elif kind == "v":
            values[rest] = payload
        elif kind == "f":
            functions[rest] = payload
        elif kind == "c":
            classes[rest] = payload
        elif kind == "m":
            owner, _, method = rest.partition(".")
            methods.setdefault(owner, {})[method] = payload
    exports: dict[str, Export] = {
        **dict.fromkeys(values, Export(kind="value")),
        **dict.fromkeys(functions, Export(kind="function")),
        **dict.fromkeys(classes, Export(kind="class")),
        **stated,
    }
    return ModuleFacts(
        name=name,
        is_package="p" in flags,
        exports=exports,
        classes=LazyMapping(
            classes, lambda key, payload: decode_class(name, key, payload, methods.get(key, {}))
        ),
        functions=LazyMapping(functions, decode_function),
        values=values,
        stars=tuple(stars),
        public=None if public is None else tuple(public),
        is_lazy="l" in flags,
        has_bodies="s" not in flags,
        is_opaque="o" in flags,
        trees=tuple(trees),
        aliases=aliases,
    )


class LazyMapping(Mapping[str, T]):
    """A mapping whose values are decoded when they are asked for."""

    __slots__ = ("_decode", "_decoded", "_payloads")

    def __init__(self, payloads: Mapping[str, Any], decode: Callable[[str, Any], T]) -> None:
        self._payloads = payloads
        self._decode = decode
        self._decoded: dict[str, T] = {}

    def __getitem__(self, key: str) -> T:
        if key not in self._decoded:
            self._decoded[key] = self._decode(key, self._payloads[key])
        return self._decoded[key]

    def __contains__(self, key: object) -> bool:
        return key in self._payloads

    def __iter__(self) -> Iterator[str]:
        return iter(self._payloads)

    def __len__(self) -> int:
        return len(self._payloads)


def _short(dotted: str, module: str) -> str:
    """A full name of the module's own library without the library."""
    library = module.partition(".")[0]
    if dotted == library:
        return "."
    return dotted[len(library) :] if dotted.startswith(f"{library}.") else dotted


def full_name(dotted: str, module: str) -> str:
    """A stored name with its library."""
    if dotted.startswith("."):
        return module.partition(".")[0] + dotted.rstrip(".")
    return dotted


def imported_name(word: str) -> str:
    """The name that a stored import binds."""
    last, _, name = word.lstrip("~").partition("=")
    return name or last


def decode_import(source: str, word: str) -> Export:
    """A name that is imported from `source`."""
    last = word.lstrip("~").partition("=")[0]
    target = f"{source}.{last}" if source else last
    return Export(kind="import", target=target, guarded=word.startswith("~"))


def _encode_export(export: Export) -> str:
    return "~" * export.guarded + EXPORT_LETTERS[export.kind]


def decode_export(text: str) -> Export:
    """An export that comes from nowhere else."""
    return Export(kind=EXPORT_KINDS[text[-1]], guarded=text.startswith("~"))


def decode_class(module: str, name: str, payload: Any, methods: Mapping[str, Any]) -> ClassFacts:
    """A class; `methods` are payloads."""
    bases, attributes, fields, decorators, metaclass, *bare = payload
    bare_payloads = {
        word[1:]: [word[0], list(ANYTHING)] for words in bare for word in words.split()
    }
    return ClassFacts(
        name=name,
        module=module,
        bases=tuple(full_name(base, module) for base in bases),
        attributes=attributes,
        fields=tuple(fields),
        methods=LazyMapping(bare_payloads | dict(methods), decode_function),
        decorators=tuple(decorators),
        metaclass=metaclass,
    )


def _is_bare(payload: list[Any]) -> bool:
    """Whether nothing but the kind of a method is known."""
    return payload[1:] == [list(ANYTHING)] and len(payload[0]) == 1
