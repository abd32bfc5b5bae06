"""The walk of one model on one version of the library: what its base classes do to its objects."""

from __future__ import annotations

from packaging.version import Version

from trueup.doctor.walk.configurations import Configurations
from trueup.doctor.walk.imports import MODELS
from trueup.doctor.walk.machine import World
from trueup.doctor.walk.values import (
    NONE,
    TRUE,
    UNKNOWN,
    Const,
    Instance,
    Items,
    LibraryMethod,
    LibraryName,
    OwnClass,
    Tensor,
    Value,
)
from trueup.environment.symbols.facts import ClassFacts, FunctionFacts

CONFIG_MODULE = "transformers.configuration_utils"
MODEL_MODULE = "transformers.modeling_utils"
# From here on the cache out of the outputs comes with its name.
PAIR_OF_PAST = Version("4.42.0")


class Walk(Configurations):
    """One model's code on one version."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.buffers: list[tuple[str, str]] = []

    def note_buffer(self, subject: Instance, name: str) -> None:
        """Keep the class and the name of a buffer that no file holds."""
        self.buffers.append((subject.class_name, name))

    def special_method(
        self,
        method: LibraryMethod,
        subject: Value,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value | None:
        """Methods of the library whose arguments matter."""
        name, owner = method.function.name, method.owner
        if isinstance(subject, Instance) and name == "__init__":
            if self.is_config(subject):
                self.init_config(subject, keywords)
                return NONE
            if owner.module == MODEL_MODULE and owner.name == "PreTrainedModel":
                self.init_model(method, subject, arguments, keywords)
                return NONE
            if owner.module.startswith("transformers.tokenization"):
                self.follow(method, subject)
                return NONE
            if owner.module.startswith(MODELS):
                self.init_other(method, subject, arguments)
                return NONE
        if name == "register" and owner.name == "AutoConfig":
            return self._register(arguments, keywords)
        if name == "generate":  # of a part of the model: what it does is not followed
            return UNKNOWN
        if name == "_extract_past_from_model_output" and self.world.is_at_least(PAIR_OF_PAST):
            return Items("tuple", [Const("past_key_values"), UNKNOWN])
        if name == "update" and isinstance(subject, Instance) and self.is_cache(subject):
            self.put(subject.attributes, "*layers", UNKNOWN)
            self.put(subject.attributes, "*entry", Tensor())
            self.put(subject.attributes, "*length", UNKNOWN)
        if name == "get_seq_length" and isinstance(subject, Instance) and self.is_cache(subject):
            return subject.attributes.get("*length", UNKNOWN)
        if name == "post_init" and self.is_v5 and isinstance(subject, Instance):
            self._expand_tied(subject)
        if name == "from_legacy_cache":
            return self._from_legacy(owner, arguments)
        if name == "to_legacy_cache":
            return Items("tuple", None, Items("tuple", [Tensor(), Tensor()]))
        if name == "_add_tokens" and isinstance(subject, Instance):
            # Behind a return for no list at all; a constructor always has one, if an empty one.
            self.follow(method, subject, certain=frozenset({"get_vocab"}))
            return UNKNOWN
        if name in ("get_text_config",) and isinstance(subject, Instance):
            return subject
        if name == "_set_gradient_checkpointing" or name.startswith("gradient_checkpointing"):
            return NONE
        return None

    def module_method(
        self, name: str, subject: Instance, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """As of every module; a configuration of 5.x has an `__init__` that a decorator made."""
        if name == "__init__" and self.is_config(subject):
            self.init_config(subject, keywords)
            return NONE
        return super().module_method(name, subject, arguments, keywords)

    def init_foreign(self, made: Instance) -> None:
        """What a constructor does that is nobody's in the model's own code."""
        if self.is_config(made):
            return
        super().init_foreign(made)

    def library_property(self, value: Instance, found: LibraryMethod) -> Value:
        """Properties of configurations are attributes under other names."""
        name = found.function.name
        if self.is_config(value):
            if name == "torch_dtype":
                return value.attributes.get("dtype", UNKNOWN)
            if name in ("rope_scaling", "rope_theta"):
                return value.attributes.get(name, value.attributes.get("rope_parameters", UNKNOWN))
            if name == "_attn_implementation":
                return value.attributes.get(name, UNKNOWN)
            if name == "use_return_dict":
                return value.attributes.get("return_dict", UNKNOWN)
            return UNKNOWN
        return super().library_property(value, found)

    def attribute_set(self, value: Instance, name: str, new: Value) -> Value:
        """5.x keeps `rope_scaling` as `rope_parameters`, with a `rope_type` in it."""
        return new

    def _from_legacy(self, owner: ClassFacts, arguments: list[Value]) -> Value:
        """A cache object made of tuples, or of nothing."""
        made = self.library_object(LibraryName(owner.dotted, owner), [], {})
        if isinstance(made, Instance):
            self._see_entries(arguments[0] if arguments else NONE)
            is_empty = not arguments or arguments[0] == NONE
            made.attributes["*layers"] = Const(0) if is_empty else UNKNOWN
            made.attributes["*entry"] = Tensor()
        return made

    def _see_entries(self, given: Value) -> None:
        """A cache object has layers before it has tensors.

        Raises:
            RaisedError: its entries are None.
        """
        if not isinstance(given, Instance) or not self.is_cache(given):
            return
        layers = given.attributes.get("*layers")
        if given.attributes.get("*entry") == NONE and layers not in (None, UNKNOWN, Const(0)):
            message = "'NoneType' object has no attribute 'dtype'"
            self.fail("none", "AttributeError", message, subject="dtype")

    def init_model(
        self,
        method: LibraryMethod,
        subject: Instance,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> None:
        """The constructor of every model.

        Raises:
            RaisedError: it reads what is not there.
        """
        config = arguments[0] if arguments else keywords.get("config", UNKNOWN)
        if isinstance(config, Instance) and not self.is_config(config):
            cls = config.cls
            if not isinstance(cls, OwnClass) or self.is_closed(cls):
                name = subject.class_name
                self.fail(
                    "library",
                    "ValueError",
                    f"Parameter config in `{name}(config)` should be an instance of class "
                    "`PretrainedConfig`",
                )
        self.init_module(subject)
        self.put(subject.attributes, "config", config)
        self.follow(method, subject)
        self.put(subject.attributes, "config", config)
        self._choose_attention(subject, config)
        self._default_attention(subject, config)

    def _choose_attention(self, subject: Instance, config: Value) -> None:
        """Since the choice is the instance's, the constructor reads what it supports.

        Raises:
            RaisedError: a property of the model's own answers with what is not there yet.
        """
        member = self.world.symbols.member(f"{MODEL_MODULE}.PreTrainedModel", "_sdpa_can_dispatch")
        facts = member[1] if member is not None else None
        if not isinstance(facts, FunctionFacts) or facts.kind != "method":
            return
        given = config.attributes if isinstance(config, Instance) else {}
        is_chosen = any(
            isinstance(given.get(name), Const) and given[name] != NONE
            for name in ("attn_implementation", "_attn_implementation")
        )
        if not is_chosen and self.is_closed_instance(subject):
            self.attribute(subject, "_supports_sdpa")

    def _default_attention(self, subject: Instance, config: Value) -> None:
        """Keep which attention is taken where nobody has chosen one."""
        name = "_attn_implementation"
        if not isinstance(config, Instance) or config.attributes.get(name, NONE) != NONE:
            return
        supports = self.in_class(self._order(subject.cls), "_supports_sdpa")
        if supports is not None and isinstance(supports[1], Const):
            config.attributes[name] = Const("sdpa" if supports[1].value else "eager")

    def is_closed_instance(self, subject: Instance) -> bool:
        """Whether all that the object can have is known."""
        return isinstance(subject.cls, OwnClass) and self.is_closed(subject.cls)

    def _expand_tied(self, subject: Instance) -> None:
        """5.x takes `_tied_weights_keys` for a mapping, where embeddings are tied.

        Raises:
            RaisedError: it is a list.
        """
        found = self.in_class(self._order(subject.cls), "_tied_weights_keys")
        config = subject.attributes.get("config")
        if found is None or not isinstance(found[1], Items) or not isinstance(config, Instance):
            return
        is_tied = config.attributes.get("tie_word_embeddings")
        if is_tied is None:
            default = self.in_class(self._order(config.cls), "tie_word_embeddings")
            is_tied = default[1] if default is not None else None
        if is_tied == TRUE:
            message = f"'{found[1].kind}' object has no attribute 'keys'"
            self.fail("attribute", "AttributeError", message, subject="_tied_weights_keys")

    def init_module(self, subject: Instance) -> None:
        """What torch sets in every module."""
        self.put(subject.attributes, "training", Const(True))

    def init_other(self, method: LibraryMethod, subject: Instance, arguments: list[Value]) -> None:
        """The constructor of one of the library's own models: what it sets is not listed.

        Raises:
            RaisedError: it reads of the configuration what is not there.
        """
        self.init_module(subject)
        subject.is_open = True
        if arguments:
            self.put(subject.attributes, "config", arguments[0])
            self.read_config_of(method, subject)

    def _register(self, arguments: list[Value], keywords: dict[str, Value]) -> Value:
        """Make a type of model known, which fails where the library knows it already.

        Raises:
            RaisedError: it does.
        """
        given = arguments[0] if arguments else keywords.get("model_type", UNKNOWN)
        name = given.value if isinstance(given, Const) else None
        if not isinstance(name, str) or "exist_ok" in keywords or len(arguments) > 2:
            return NONE
        if self.config_of_type(name) is not None:
            message = f"'{name}' is already used by a Transformers config, pick another name."
            self.fail("value", "ValueError", message, subject=name, owner="AutoConfig")
        return NONE
