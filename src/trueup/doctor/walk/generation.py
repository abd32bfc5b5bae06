"""A model of the model's own code: made, loaded, run, and made to generate."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.version import Version

from trueup.doctor.walk.generation_facts import GenerationFacts, is_of_mixin
from trueup.doctor.walk.values import (
    FALSE,
    NONE,
    TRUE,
    UNKNOWN,
    Bound,
    Const,
    Foreign,
    Instance,
    Items,
    LibraryMethod,
    LibraryName,
    OwnClass,
    OwnFunction,
    Table,
    Tensor,
    Value,
)

DYNAMIC_CACHE = "transformers.cache_utils.DynamicCache"
MODEL = "transformers.modeling_utils.PreTrainedModel"
# Loading sets the dtype as a text in this release alone.
TEXT_DTYPE = Version("4.49.0")

# From here on `generate` makes a cache of as many layers as the configuration says.
CACHE_OF_LAYERS = Version("4.56.0")

# Models whose names have one of these get no cache from the library, on some releases or on all.
OF_THEIR_OWN_CACHE = (
    "bamba", "jamba", "lfm2", "minimax", "reformer", "rwkv", "xlnet", "xlstm", "zamba",
)  # fmt: skip


class Generation(GenerationFacts):
    """Walks a model from its constructor to its generated tokens."""

    def made(self, cls: OwnClass, config: Instance) -> Value:
        """`from_config`.

        Raises:
            RaisedError: it fails.
        """
        return self.instantiate(cls, [config], {})

    def loaded(self, cls: OwnClass, config: Instance, model: Instance) -> Value:
        """`from_pretrained`: made anew as loading makes it, then what loading asks of it.

        Raises:
            RaisedError: it fails.
        """
        if self.world.is_release(TEXT_DTYPE):
            config.attributes["torch_dtype"] = Const("float32")
        self.is_building_on_meta = self.is_v5
        try:
            made = self.instantiate(cls, [config], {})
        finally:
            self.is_building_on_meta = False
        if not isinstance(made, Instance):
            return made
        if self.world.is_release(TEXT_DTYPE):
            config.attributes["torch_dtype"] = UNKNOWN
        self._needs_post_init(made)
        self._tied(made)
        return model

    def _needs_post_init(self, made: Instance) -> None:
        member = self.world.symbols.member(MODEL, "post_init")
        if member is None or isinstance(member[1], str) or member[1] is None:
            return
        if "all_tied_weights_keys" in member[1].self_sets:
            self.attribute(made, "all_tied_weights_keys")

    def _tied(self, made: Instance) -> None:
        """Overrides that loading calls."""
        for name in ("tie_weights", "tie_embeddings_and_encoder_decoder"):
            order = self._order(made.cls)
            found = self.in_class(order, name)
            if found is not None and isinstance(found[1], OwnFunction):
                calls = self._calls_of(name)
                keywords: dict[str, Value] = dict.fromkeys(calls, UNKNOWN)
                self.call(Bound(found[1], made), [], keywords)
            elif found is not None and isinstance(found[1], LibraryMethod):
                self._asks_config(found[1], made)

    def _asks_config(self, method: LibraryMethod, made: Instance) -> None:
        """Let a method of the library read what the model has for its configuration.

        What the library's own configurations have is there.
        """
        config = made.attributes.get("config")
        if not isinstance(config, Instance) or self.is_config(config):
            return
        for step in method.function.steps:
            if step.kind == "config_call" and not (step.is_conditional or step.is_guarded):
                self._step(step, method, made)

    def _calls_of(self, name: str) -> tuple[str, ...]:
        """Keywords with which the library's own models call a method of theirs."""
        for owner in self.world.symbols.mro(MODEL):
            for function in owner.methods.values():
                for call in function.self_calls:
                    if call.name == name and not call.conditional and not call.star:
                        return call.keywords
        return ()

    def set_training(self, model: Instance) -> None:
        """Loaded models are in evaluation mode."""
        seen: set[int] = set()
        pending: list[Value] = [model]
        while pending:
            each = pending.pop()
            if id(each) in seen:
                continue
            seen.add(id(each))
            if isinstance(each, Instance):
                if "training" in each.attributes:
                    each.attributes["training"] = FALSE
                pending += each.attributes.values()
            elif isinstance(each, Items) and each.items is not None:
                pending += each.items

    def forward(self, model: Instance, inputs: Mapping[str, Value]) -> Value:
        """One pass.

        Raises:
            RaisedError: it fails.
        """
        found = self.in_class(self._order(model.cls), "forward")
        given = dict(inputs)
        if found is not None and isinstance(found[1], OwnFunction):
            arguments = found[1].node.args
            names = {each.arg for each in (*arguments.args, *arguments.kwonlyargs)}
            if arguments.kwarg is None:
                given = {name: each for name, each in given.items() if name in names}
            if not given:  # its users call it in a way of its own
                return UNKNOWN
            if self._decodes(model):
                given["decoder_input_ids"] = given["input_ids"]
        return self.call(model, [], given)

    def _decodes(self, model: Instance) -> bool:
        """Whether it has an encoder, and a decoder with ids of its own."""
        found = self.in_class(self._order(model.cls), "forward")
        if found is None or not isinstance(found[1], OwnFunction):
            return False
        arguments = found[1].node.args
        names = {each.arg for each in (*arguments.args, *arguments.kwonlyargs)}
        return names >= {"input_ids", "decoder_input_ids"}

    def generate(self, model: Instance, uses_cache: bool) -> Value:
        """Two tokens, greedily.

        Raises:
            RaisedError: it fails.
        """
        order = self._order(model.cls)
        self._finds_generate(model, order)
        own = self.in_class(order, "generate")
        if own is not None and isinstance(own[1], OwnFunction):
            given: dict[str, Value] = {"attention_mask": Tensor((2, 8))}
            return self.call(Bound(own[1], model), [Tensor((2, 8))], given, is_open=True)
        default = self._caches_by_default(model)
        if uses_cache and default is None:
            self.fork(lambda: self._generated(model, True), lambda: None)
            return UNKNOWN
        self._generated(model, uses_cache and default is not False)
        return UNKNOWN

    def _generated(self, model: Instance, uses_cache: bool) -> None:
        order = self._order(model.cls)
        prepare = self.in_class(order, "prepare_inputs_for_generation")
        cache: Value = self._first_cache(model) if uses_cache else NONE
        inputs: dict[str, Value] = {
            "attention_mask": NONE if self._drops_mask else Tensor((2, 8)),
            "use_cache": Const(uses_cache),
        }
        if self._decodes(model):  # the encoder went before
            inputs["encoder_outputs"] = UNKNOWN
        name = self._cache_name
        if isinstance(cache, Instance) or self._has_cache_position:
            inputs[name] = cache
        if self._has_cache_position:
            inputs["cache_position"] = Tensor((8,))
        if not isinstance(cache, Instance):
            inputs.pop(name, None)
        outputs = self._pass(model, prepare, inputs, Tensor((2, 8)), is_first=True)
        kept = self._update(model, outputs, inputs)
        past = self._past_of(outputs) if kept is UNKNOWN else kept
        if uses_cache and past is not None:
            inputs[name] = past
            if isinstance(past, Instance):
                past.attributes["*entry"] = Tensor()
                past.attributes["*layers"] = UNKNOWN
                past.attributes["*length"] = Const(8)  # of the first pass
        if not self._drops_mask:
            inputs["attention_mask"] = Tensor((2, 9))
        self._pass(model, prepare, inputs, Tensor((2, 9)), is_first=False)

    def _caches_by_default(self, model: Instance) -> bool | None:
        """Whether the generation configuration, made of the model's, asks for a cache."""
        config = model.attributes.get("config")
        if self.is_v5 or not isinstance(config, Instance):
            return True
        asked = config.attributes.get("use_cache", UNKNOWN if config.is_open else TRUE)
        return None if asked is UNKNOWN and config.is_open else asked != FALSE

    def _first_cache(self, model: Instance) -> Value:
        """What `generate` passes to the first pass: None, or a cache object."""
        if any(name in model.class_name.lower() for name in OF_THEIR_OWN_CACHE):
            return UNKNOWN
        order = self._order(model.cls)
        own = self.in_class(order, "_supports_default_dynamic_cache")
        if own is not None and isinstance(own[1], OwnFunction):
            supports_any = self.truth(self.call(Bound(own[1], model), [], {}))
            if supports_any is False:
                return NONE
        if self.world.symbols.member(MODEL, "_supports_cache_class") is not None:
            supports = self.in_class(order, "_supports_cache_class")
            if supports is None or self.truth(supports[1]) is not True:
                return NONE
            if not self._prepares_cache:
                return NONE
        facts = self.library_name(DYNAMIC_CACHE)
        if not isinstance(facts, LibraryName):
            return UNKNOWN
        config = model.attributes.get("config", UNKNOWN)
        cache = self.library_object(facts, [], {})
        if isinstance(cache, Instance):
            cache.attributes["*layers"] = Const(0)
            cache.attributes["*entry"] = NONE
            cache.attributes["*length"] = Const(0)
            if self.world.is_at_least(CACHE_OF_LAYERS):
                layers = (
                    self.attribute(config, "num_hidden_layers")
                    if isinstance(config, Instance)
                    else UNKNOWN
                )
                cache.attributes["*layers"] = layers if isinstance(layers, Const) else Const(2)
        return cache

    def _pass(
        self,
        model: Instance,
        prepare: tuple[Value, Value] | None,
        inputs: dict[str, Value],
        ids: Value,
        *,
        is_first: bool,
    ) -> Value:
        given: Value = Table({"input_ids": ids, **inputs})
        if prepare is not None and isinstance(prepare[1], OwnFunction):
            more: dict[str, Value] = {}
            if self._passes_first_iteration:
                more = {"is_first_iteration": TRUE if is_first else FALSE}
                more["next_sequence_length"] = NONE if is_first else Const(1)
            given = self.call(Bound(prepare[1], model), [ids], {**inputs, **more})
        elif prepare is not None and isinstance(prepare[1], LibraryMethod):
            # Only that of all models is known to pass on what it is given.
            known = {"input_ids": ids, **inputs} if is_of_mixin(prepare[0]) else {}
            given = Table(known, is_open=True)
        if not isinstance(given, Table):
            return UNKNOWN
        keywords = {key: each for key, each in given.entries.items() if isinstance(key, str)}
        return self.call(model, [], {**keywords, "return_dict": TRUE}, is_open=given.is_open)

    def _update(self, model: Instance, outputs: Value, inputs: dict[str, Value]) -> Value:
        """The cache that the model's own code keeps for the next token, where it is known."""
        own = self.in_class(self._order(model.cls), "_update_model_kwargs_for_generation")
        if own is None or not isinstance(own[1], OwnFunction):
            return UNKNOWN
        kwargs = Table(dict(inputs))
        keywords: dict[str, Value] = {"is_encoder_decoder": FALSE}
        updated = self.call(Bound(own[1], model), [outputs, kwargs], keywords)
        kept = updated.entries.get(self._cache_name) if isinstance(updated, Table) else None
        return kept if isinstance(kept, Items) else UNKNOWN

    def _past_of(self, outputs: Value) -> Value | None:
        if isinstance(outputs, Instance):
            return outputs.attributes.get("past_key_values")
        return None


__all__ = ["Foreign", "Generation"]
