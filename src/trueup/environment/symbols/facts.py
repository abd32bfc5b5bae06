"""Facts about the source of one version of a library, frozen.

Data only: `source.py` reads them from source text, `codec.py` stores them, `symbols.py` answers
questions from them. Steps of a body are in the order in which Python runs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ParameterKind = Literal["positional_only", "positional", "keyword", "star", "double_star"]
StepKind = Literal[
    "call", "super_call", "read", "set", "len", "config", "config_call", "config_set"
]
# The name in a step that sets attributes whose names only running tells.
ANY_NAME = "*"
FunctionKind = Literal["function", "method", "static", "class", "property", "cached_property"]
ExportKind = Literal["class", "function", "value", "import", "submodule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter; `default` is the source of a literal default, None for any other."""

    name: str
    kind: ParameterKind
    has_default: bool = False
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a body does to its subject (self, cls or the model) or reads of a config.

    `is_conditional`: under an if, a loop, a handler, an and/or or in a function within, so that it
    may not happen. `is_after_return`: behind a place where the function may have returned.
    `is_guarded`: a failure of it is caught (hasattr, getattr with a default, a try that catches
    AttributeError). `owner` is the config's expression, such as `self.config`.
    """

    kind: StepKind
    name: str
    owner: str = ""
    positional: int = 0
    keywords: tuple[str, ...] = ()
    has_star: bool = False
    has_double_star: bool = False
    is_conditional: bool = False
    is_after_return: bool = False
    is_guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCall:
    """A call of `self.name(...)`, or of `super().name(...)`, in a body."""

    name: str
    positional: int
    keywords: tuple[str, ...]
    star: bool
    double_star: bool
    conditional: bool
    is_super: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionFacts:
    """One function or method, with what its body does in the order of execution."""

    name: str
    parameters: tuple[Parameter, ...]
    kind: FunctionKind = "function"
    has_setter: bool = False
    is_abstract: bool = False
    decorators: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def self_calls(self) -> tuple[SelfCall, ...]:
        """Calls of the subject's own methods, and of super's."""
        return tuple(
            SelfCall(
                name=step.name,
                positional=step.positional,
                keywords=step.keywords,
                star=step.has_star,
                double_star=step.has_double_star,
                conditional=step.is_conditional,
                is_super=step.kind == "super_call",
            )
            for step in self.steps
            if step.kind in ("call", "super_call")
        )

    @property
    def self_sets(self) -> tuple[str, ...]:
        """Attributes of the subject that are assigned; `*` for names that only running tells."""
        return tuple(step.name for step in self.steps if step.kind == "set")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFacts:
    """One class: what its body binds, with bases as dotted names where they can be known.

    `attributes` are class-level names with the source of a literal value, None for any other
    value; `fields` are annotated names in order, ClassVar left out: the fields of a dataclass.
    A base that is no name stands as its source.
    """

    name: str
    module: str
    bases: tuple[str, ...] = ()
    attributes: Mapping[str, str | None] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    methods: Mapping[str, FunctionFacts] = field(default_factory=dict)
    decorators: tuple[str, ...] = ()
    metaclass: str | None = None

    @property
    def dotted(self) -> str:
        """The full name."""
        return f"{self.module}.{self.name}"

    @property
    def is_dataclass(self) -> bool:
        """Whether the class itself is decorated as one."""
        return any(name.rpartition(".")[2] == "dataclass" for name in self.decorators)

    @property
    def has_getattr(self) -> bool:
        """Whether the class answers for names that it does not bind."""
        return "__getattr__" in self.methods or "__getattribute__" in self.methods


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A name that a module binds; `target` is the full name where it comes from elsewhere.

    `guarded`: bound only under an if or a try, and not in each of its branches.
    """

    kind: ExportKind
    target: str | None = None
    guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A module's name that is neither class nor function: `literal` is its source if it is one.

    `target` names what is imported from outside the library.
    """

    name: str
    module: str
    literal: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFacts:
    """One module: every name that it binds, and what is defined in it.

    `stars` are modules whose public names it takes over, `public` the names in `__all__` (None
    where there is none), `is_lazy`: it replaces itself by a module that imports on access. `trees`
    are packages of which a lazy module exports all that their modules name in `__all__`: whoever
    has the files expands them. Without `has_bodies` the steps of functions are not known,
    and of what a module imports not all is. `is_opaque`: the module is there, and nobody looked in.
    `aliases` are old module names with the one that stands in.
    """

    name: str
    is_package: bool
    exports: Mapping[str, Export]
    classes: Mapping[str, ClassFacts] = field(default_factory=dict)
    functions: Mapping[str, FunctionFacts] = field(default_factory=dict)
    values: Mapping[str, str | None] = field(default_factory=dict)
    stars: tuple[str, ...] = ()
    public: tuple[str, ...] | None = None
    is_lazy: bool = False
    has_bodies: bool = True
    is_opaque: bool = False
    trees: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_getattr(self) -> bool:
        """Whether the module answers for names that it does not bind."""
        return "__getattr__" in self.functions


def opaque(name: str, *, is_package: bool) -> ModuleFacts:
    """A module of which only that it is there is known."""
    return ModuleFacts(
        name=name, is_package=is_package, exports={}, has_bodies=False, is_opaque=True
    )
