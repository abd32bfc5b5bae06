"""What the library's own code does to the model's: by the facts of its functions.

A function of the library is followed step by step: what it sets, reads and calls of its subject.
Overrides in the model's own code are walked as they are called from there.
"""

from __future__ import annotations

from dataclasses import replace

from trueup.doctor.walk.failure import RaisedError
from trueup.doctor.walk.library_answers import LibraryAnswers
from trueup.doctor.walk.machine import FIRST_V5
from trueup.doctor.walk.values import (
    NONE,
    UNKNOWN,
    Bound,
    Const,
    Foreign,
    Instance,
    LibraryMethod,
    LibraryName,
    OwnClass,
    OwnFunction,
    Value,
)
from trueup.environment.symbols.facts import ClassFacts, FunctionFacts, Step

MAX_LIBRARY_DEPTH = 6
# Nobody who loads a model to run it gets there.
ONLY_IN_TRAINING = frozenset({"_set_gradient_checkpointing", "gradient_checkpointing_enable"})

CONFIGURATION = "transformers.configuration_utils.Pre"


class LibraryCalls(LibraryAnswers):
    """Follows the library."""

    def __init__(self, world: object) -> None:
        super().__init__(world)  # type: ignore[arg-type]
        self._running: list[tuple[str, str, int]] = []

    def call_library_method(
        self,
        method: LibraryMethod,
        subject: Value,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value:
        """A method that the library gives to an object.

        Raises:
            RaisedError: what it does with the object fails.
        """
        special = self.special_method(method, subject, arguments, keywords)
        if special is not None:
            return special
        if not isinstance(subject, Instance):
            return UNKNOWN
        self.follow(method, subject)
        return UNKNOWN

    def special_method(
        self,
        method: LibraryMethod,
        subject: Value,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value | None:
        """Methods of the library whose arguments matter."""
        raise NotImplementedError

    def follow(
        self, method: LibraryMethod, subject: Instance, *, certain: frozenset[str] = frozenset()
    ) -> None:
        """Walk the steps of a library method on its subject.

        Calls of `certain` are taken to happen whatever they are behind.

        Raises:
            RaisedError: one fails.
        """
        key = (method.owner.dotted, method.function.name, id(subject))
        if key in self._running or len(self._running) >= MAX_LIBRARY_DEPTH:
            return
        self._running.append(key)
        try:
            for step in method.function.steps:
                if step.is_guarded and step.kind != "set":
                    continue
                is_certain = step.kind == "set" or step.name in certain
                if step.is_conditional and not is_certain:
                    self.fork(lambda step=step: self._may_step(step, method, subject), lambda: None)  # type: ignore[misc]
                else:
                    self._step(step, method, subject)
        finally:
            self._running.pop()

    def _may_step(self, step: Step, method: LibraryMethod, subject: Instance) -> None:
        """A step behind a condition: that the library asks for what is there is taken for granted.

        Raises:
            RaisedError: the model's own code, called by it, fails.
        """
        depth = len(self.calls)
        try:
            self._step(step, method, subject)
        except RaisedError as raised:
            is_library_own = len(raised.failure.frames) == depth
            if not (is_library_own and raised.failure.kind == "attribute"):
                raise

    def _step(self, step: Step, method: LibraryMethod, subject: Instance) -> None:
        if step.kind == "set":
            self._set_by_library(subject, step.name)
        elif step.kind == "read":
            self.attribute(subject, step.name)
        elif step.kind == "len":
            self.length_of(subject)
        elif step.kind == "call":
            self._call_by_library(step, self._bound_of(subject, step.name), subject)
        elif step.kind == "super_call":
            found = self._behind(subject, method.owner, step.name)
            if found is not None:
                self._call_by_library(step, Bound(found, subject), subject)
        elif step.kind in ("config", "config_call"):
            self._read_config(step, subject)

    def _set_by_library(self, subject: Instance, name: str) -> None:
        given = self.in_class(self._order(subject.cls), name)
        function = given[1].function if given and isinstance(given[1], LibraryMethod) else None
        if function is not None and function.kind == "property" and function.has_setter:
            return
        if name not in subject.attributes:
            self.put(subject.attributes, name, UNKNOWN)

    def _bound_of(self, subject: Instance, name: str) -> Value:
        if name in subject.attributes:
            return subject.attributes[name]
        return self.attribute(subject, name)

    def _behind(self, subject: Instance, owner: ClassFacts, name: str) -> Value | None:
        order = self._order(subject.cls)
        places = [
            index
            for index, each in enumerate(order)
            if isinstance(each, LibraryName) and each.dotted == owner.dotted
        ]
        found = self.in_class(order[places[0] + 1 :], name) if places else None
        return found[1] if found is not None else None

    def _call_by_library(self, step: Step, function: Value, subject: Instance) -> None:
        if step.name in ONLY_IN_TRAINING:
            return
        arguments: list[Value] = [UNKNOWN] * step.positional
        keywords: dict[str, Value] = dict.fromkeys(step.keywords, UNKNOWN)
        is_open = step.has_star or step.has_double_star
        if isinstance(function, Bound):
            inner = function.function
            if isinstance(inner, OwnFunction):
                self._call_override(function, arguments, keywords, is_open)
            elif isinstance(inner, LibraryMethod):
                special = self.special_method(inner, subject, arguments, keywords)
                if special is None:
                    self.follow(inner, subject)

    def _call_override(
        self, function: Bound, arguments: list[Value], keywords: dict[str, Value], is_open: bool
    ) -> None:
        depth = len(self.calls)
        try:
            self.call(function, arguments, keywords, is_open=is_open)
        except RaisedError as raised:
            failure = raised.failure
            if failure.kind == "argument" and len(failure.frames) == depth:
                raise RaisedError(replace(failure, is_called_by_library=True)) from raised
            raise

    def _read_config(self, step: Step, subject: Instance) -> None:
        config: Value = subject
        if not self.is_config(subject):
            config = subject.attributes.get("config", UNKNOWN)
        if isinstance(config, Instance) and step.owner in ("config", "self.config"):
            self.attribute(config, step.name)

    def read_config_of(self, method: LibraryMethod, subject: Instance) -> None:
        """What a constructor of the library's always reads of the subject's configuration.

        Raises:
            RaisedError: it is not there.
        """
        for step in method.function.steps:
            if step.kind == "config" and not (step.is_conditional or step.is_guarded):
                self._read_config(step, subject)

    def is_config(self, value: Instance) -> bool:
        """Whether an object is a configuration."""
        return any(
            isinstance(each, LibraryName)
            and each.dotted.startswith("transformers.configuration_utils.Pre")
            for each in self._order(value.cls)
        )

    def library_property(self, value: Instance, found: LibraryMethod) -> Value:
        """What a property of the library gives.

        Raises:
            RaisedError: what it reads of the object is not there.
        """
        name = found.function.name
        if name == "config_class" or name in ("device", "dtype", "dummy_inputs"):
            return UNKNOWN
        self.follow(found, value)
        return UNKNOWN

    def library_getattr(self, value: Instance, name: str, getter: Value) -> Value:
        """What the library's `__getattr__` makes of a name that is not there."""
        if not isinstance(getter, LibraryMethod):
            return UNKNOWN
        stem = name.removesuffix("_ids").removesuffix("_id")
        if stem.endswith("_token") or stem.endswith("_tokens"):
            return UNKNOWN
        if self.world.is_at_least(FIRST_V5):
            # It looks the name up in the classes, and gives even a property itself.
            found = self.in_class(self._order(value.cls), name)
            if found is not None:
                return PROPERTY_OBJECT
        self.fail(
            "attribute",
            "AttributeError",
            f"{value.class_name} has no attribute {name}",
            subject=name,
            owner=self.dotted_of(value.cls),
        )

    def set_attribute(self, value: Value, name: str, new: Value) -> None:
        """Bind an attribute of an object.

        Raises:
            RaisedError: it cannot be bound.
        """
        if isinstance(value, OwnClass):
            self.put(value.body, name, new)
            return
        if not isinstance(value, Instance):
            if value == NONE:
                message = f"'NoneType' object has no attribute '{name}'"
                self.fail("none", "AttributeError", message, subject=name)
            return
        name = self.mapped(value, name)
        found = self.in_class(self._order(value.cls), name)
        if found is not None and getattr(found[1], "kind", "") == "property":
            setter = getattr(found[1], "setter", None)
            if setter is not None:
                self.call(Bound(setter, value), [new], {})
                return
            if isinstance(value.cls, OwnClass) and found[0] is not None:
                message = f"property '{name}' of '{value.class_name}' object has no setter"
                self.fail("attribute", "AttributeError", message, subject=name)
        if found is not None and isinstance(found[1], LibraryMethod):
            function = found[1].function
            if function.kind == "property" and not function.has_setter:
                self.fail(
                    "attribute",
                    "AttributeError",
                    f"property '{name}' of '{value.class_name}' object has no setter",
                    subject=f"{found[1].owner.dotted}.{name}",
                    owner=found[1].owner.dotted,
                )
        self.put(value.attributes, name, self.attribute_set(value, name, new))

    def attribute_set(self, value: Instance, name: str, new: Value) -> Value:
        """What an attribute is after it was set; the library's setters may change it."""
        return new


PROPERTY_OBJECT = Const(property())


def is_function(value: Value) -> bool:
    """Whether a value is a function with facts."""
    return isinstance(value, LibraryName) and isinstance(value.found, FunctionFacts)


__all__ = ["Foreign", "LibraryCalls", "RaisedError", "is_function"]
