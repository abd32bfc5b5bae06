"""Questions about one version of a library: where a name leads, what a class has.

Answers come from facts (installed source, or the index that ships with the package); nothing is
imported. An object may be shared by threads: facts are frozen, and a lost race costs time only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from packaging.version import Version

from trueup.environment.symbols.facts import ClassFacts, FunctionFacts, ModuleFacts, Value
from trueup.environment.symbols.lazy import FAST_IMAGES

Found = ClassFacts | FunctionFacts | ModuleFacts | Value
Member = tuple[ClassFacts, FunctionFacts | str | None]
# Modules whose names an `__init__` copies in a loop.
COPIED: Mapping[str, tuple[str, ...]] = {"torch": ("torch._C", "torch._C._VariableFunctions")}
# Names that compiled code makes and no stub tells.
COMPILED: Mapping[str, frozenset[str]] = {
    "torch": frozenset({"default_generator"}),
    "torch.cuda": frozenset(
        f"{kind}Tensor"
        for kind in (
            "BFloat16",
            "Bool",
            "Byte",
            "Char",
            "Double",
            "Float",
            "Half",
            "Int",
            "Long",
            "Short",
        )
    ),
}
# Chains of names that lead through more modules than this go in a circle.
LONGEST_CHAIN = 40


class Modules(Protocol):
    """Where the facts of modules come from."""

    def load(self, name: str) -> ModuleFacts | None:
        """The facts of a module by its full name."""
        ...


class Symbols:
    """The names of one library version.

    `is_exact`: the facts are those of `version` itself, not of the nearest older one.
    """

    def __init__(
        self, library: str, version: Version, modules: Modules, *, is_exact: bool = True
    ) -> None:
        self.library = library
        self.version = version
        self.is_exact = is_exact
        self._modules = modules
        self._loaded: dict[str, ModuleFacts | None] = {}
        self._resolved: dict[str, Found | None] = {}
        self._orders: dict[str, tuple[tuple[ClassFacts, ...], tuple[str, ...]]] = {}

    def module(self, dotted: str) -> ModuleFacts | None:
        """The module of that full name, or the one that stands in for it; None if none does."""
        if dotted not in self._loaded:
            found = self._modules.load(dotted)
            if found is None and dotted != self.library:
                successor = self._successor(dotted)
                found = self.module(successor) if successor else None
            self._loaded[dotted] = found
        return self._loaded[dotted]

    def _successor(self, dotted: str) -> str | None:
        root = self.module(self.library)
        if root is None:
            return None
        if FAST_IMAGES in root.aliases and dotted.endswith("_fast"):
            package, _, name = dotted.rpartition(".")
            if name.startswith("image_processing_") and package.startswith(
                f"{self.library}.models."
            ):
                return dotted.removesuffix("_fast")
        return root.aliases.get(dotted)

    def resolve(self, dotted: str) -> Found | None:
        """What a full name stands for, through re-exports and lazy modules; None if nothing.

        A name of another library, or of an opaque module, is a Value with that `target`.
        """
        if dotted not in self._resolved:
            self._resolved[dotted] = self._resolve(dotted, ())
        return self._resolved[dotted]

    def _resolve(self, dotted: str, chain: tuple[str, ...]) -> Found | None:
        if dotted in chain or len(chain) > LONGEST_CHAIN:
            return self.module(dotted)
        head, *parts = dotted.split(".")
        if head != self.library:
            return Value(name=parts[-1] if parts else head, module=head, target=dotted)
        current: Found | None = self.module(self.library)
        for index, part in enumerate(parts):
            if isinstance(current, ModuleFacts):
                is_last = index == len(parts) - 1
                current = self._step(current, part, (*chain, dotted), is_last=is_last)
            elif isinstance(current, ClassFacts):
                current = self._class_name(current, part)
            elif isinstance(current, Value) and current.target:
                rest = ".".join(parts[index:])
                return Value(name=parts[-1], module=head, target=f"{current.target}.{rest}")
            else:
                return None
        return current

    def _step(
        self, module: ModuleFacts, name: str, chain: tuple[str, ...], *, is_last: bool
    ) -> Found | None:
        """What `module` has under `name`: on the way a submodule, at the end what it binds."""
        dotted = f"{module.name}.{name}"
        below = self.module(dotted) if module.is_package and not is_last else None
        if below is not None:
            return below
        return self._bound(module, name, chain) or self.module(dotted)

    def _bound(self, module: ModuleFacts, name: str, chain: tuple[str, ...]) -> Found | None:
        if name in module.classes:
            return module.classes[name]
        if name in module.functions:
            return module.functions[name]
        export = module.exports.get(name)
        if export is not None and export.target is not None:
            return self._resolve(export.target, chain)
        if export is not None:
            return Value(name=name, module=module.name, literal=module.values.get(name))
        for star in (*module.stars, *COPIED.get(module.name, ())):
            found = self._from_star(star, name, chain)
            if found is not None:
                return found
        is_made = name in COMPILED.get(module.name, ())
        return _untold(name, module.name) if module.is_opaque or is_made else None

    def _from_star(self, star: str, name: str, chain: tuple[str, ...]) -> Found | None:
        if star.partition(".")[0] != self.library:
            return _untold(name, star)
        source = self.module(star)
        if source is None or star in chain:
            return None
        is_public = name in source.public if source.public is not None else name[:1] != "_"
        return self._bound(source, name, (*chain, star)) if is_public else None

    def _class_name(self, owner: ClassFacts, name: str) -> Found | None:
        found = self.member(owner.dotted, name)
        if found is None:
            return None
        holder, value = found
        if isinstance(value, FunctionFacts):
            return value
        return Value(name=name, module=holder.dotted, literal=value)

    def mro(self, dotted: str) -> tuple[ClassFacts, ...]:
        """The class and its bases in Python's order, as far as the library defines them."""
        return self._order(dotted)[0]

    def unknown_bases(self, dotted: str) -> tuple[str, ...]:
        """Bases, near and far, that the library does not define, such as `torch.nn.Module`."""
        return self._order(dotted)[1]

    def member(self, dotted_class: str, name: str) -> Member | None:
        """The class that gives `name` to a class, with the method or the literal of the attribute.

        None in the second place: an attribute whose value is no literal, or is only declared.
        """
        for owner in self.mro(dotted_class):
            if name in owner.methods:
                return owner, owner.methods[name]
            if name in owner.attributes:
                return owner, owner.attributes[name]
            if name in owner.fields:
                return owner, None
        return None

    def has(self, dotted: str) -> bool:
        """Whether the full name, of a member too, leads to something."""
        return self.resolve(dotted) is not None

    def gives(self, dotted_class: str, name: str) -> bool:
        """Whether the objects of a class have an attribute, by its body or by its constructor."""
        made = (
            owner.methods[method].self_sets
            for owner in self.mro(dotted_class)
            for method in ("__init__", "__post_init__")
            if method in owner.methods
        )
        return self.member(dotted_class, name) is not None or any(name in each for each in made)

    def names(self, dotted_module: str) -> frozenset[str]:
        """Every name that a module binds, those of its star imports too; submodules are not."""
        return self._names(dotted_module, ())

    def _names(self, dotted: str, chain: tuple[str, ...]) -> frozenset[str]:
        module = self.module(dotted)
        if module is None or dotted in chain:
            return frozenset()
        found = set(module.exports)
        for star in (*module.stars, *COPIED.get(module.name, ())):
            source = self.module(star) if star.partition(".")[0] == self.library else None
            if source is not None and source.public is not None:
                found.update(source.public)
            else:
                below = self._names(star, (*chain, dotted))
                found.update(name for name in below if not name.startswith("_"))
        return frozenset(found)

    def _order(self, dotted: str) -> tuple[tuple[ClassFacts, ...], tuple[str, ...]]:
        if dotted not in self._orders:
            found = self.resolve(dotted)
            if isinstance(found, ClassFacts):
                known: dict[str, ClassFacts] = {}
                unknown: dict[str, None] = {}
                names = self._linearised(found, known, unknown, ())
                self._orders[dotted] = tuple(known[name] for name in names), tuple(unknown)
            else:
                self._orders[dotted] = (), ()
        return self._orders[dotted]

    def _linearised(
        self, owner: ClassFacts, known: dict[str, ClassFacts], unknown: dict[str, None],
        below: tuple[str, ...],
    ) -> list[str]:  # fmt: skip
        known[owner.dotted] = owner
        lines: list[list[str]] = []
        direct: list[str] = []
        for base in owner.bases:
            found = self.resolve(base)
            if not isinstance(found, ClassFacts):
                target = found.target if isinstance(found, Value) else None
                unknown[target or base] = None
            elif found.dotted not in below and found.dotted != owner.dotted:
                line = self._linearised(found, known, unknown, (*below, owner.dotted))
                lines.append(line)
                direct.append(found.dotted)
        return [owner.dotted, *merge([*lines, direct])]


def _untold(name: str, module: str) -> Value:
    """A name of a module into which nobody looked: it counts as there."""
    return Value(name=name, module=module, target=f"{module}.{name}")


def merge(lines: Sequence[Sequence[str]]) -> list[str]:
    """The C3 merge; what has no consistent order keeps the order in which it is found."""
    rest = [list(line) for line in lines if line]
    merged: list[str] = []
    while rest:
        head = next(
            (line[0] for line in rest if not any(line[0] in other[1:] for other in rest)),
            rest[0][0],
        )
        merged.append(head)
        rest = [kept for line in rest if (kept := [name for name in line if name != head])]
    return merged
