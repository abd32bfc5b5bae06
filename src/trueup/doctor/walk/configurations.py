"""Configurations: what the library's constructor makes of config.json, in each line of versions."""

from __future__ import annotations

from trueup.doctor.walk.foreign_calls import ForeignCalls
from trueup.doctor.walk.machine import FIRST_V5
from trueup.doctor.walk.values import (
    NONE,
    TRUE,
    UNKNOWN,
    Const,
    Foreign,
    Instance,
    LibraryMethod,
    LibraryName,
    Table,
    Value,
)
from trueup.environment.symbols.facts import ClassFacts

# Settings of generation that every 4.x configuration has, whatever config.json says.
GENERATION_DEFAULTS = frozenset(
    {
        "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
        "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
        "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
        "num_return_sequences", "output_scores", "return_dict_in_generate",
        "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
        "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
    }
)  # fmt: skip
# What a 5.x configuration does not keep of config.json: it belongs to the generation configuration.
GENERATION_KEYS = GENERATION_DEFAULTS | {
    "use_cache", "epsilon_cutoff", "eta_cutoff", "encoder_repetition_penalty",
    "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold",
    "assistant_lookbehind", "target_lookbehind",
}  # fmt: skip
GENERATION_CONFIG = "transformers.generation.configuration_utils.GenerationConfig"
ROPE_ENDINGS = ("rope_theta", "partial_rotary_factor")
ROPE_KEYS = ("rope_scaling", "rope_parameters")
# The attribute that keeps which settings of generation a configuration would have had on 4.x.
GONE = "*gone"


class Configurations(ForeignCalls):
    """Makes configurations."""

    @property
    def is_v5(self) -> bool:
        """Whether the library is of the 5.x line."""
        return self.world.is_at_least(FIRST_V5)

    def init_config(self, subject: Instance, keywords: dict[str, Value]) -> None:
        """The constructor of the library's configuration, of any version.

        Raises:
            RaisedError: it sets what the model's class does not let it set.
        """
        given = dict(keywords)
        for name in self._config_names(subject):
            if name in given:
                value = given.pop(name)
            elif name in subject.attributes:
                continue
            else:
                value = self._default_of(subject, name)
            self._set_config(subject, name, value)
        self._set_generation(subject, given)
        if self.is_v5 and self._keeps_rope(subject):
            for name in [each for each in given if each.endswith(ROPE_ENDINGS)]:
                del given[name]  # the dict of rope parameters takes them in
        for name, value in given.items():
            self._set_config(subject, name, value)
        if self.is_v5:
            self._standardise_rope(subject)

    def _keeps_rope(self, subject: Instance) -> bool:
        """Whether a configuration of the library's has its rope parameters in a dict."""
        return isinstance(subject.cls, LibraryName) and (
            self.in_class(self._order(subject.cls), "rope_parameters") is not None
        )

    def _set_generation(self, subject: Instance, given: dict[str, Value]) -> None:
        """Take the settings of generation out of what is given; 4.x keeps them."""
        if self.is_v5:
            named = [name for name in GENERATION_KEYS if given.pop(name, None) is not None]
            gone = dict.fromkeys((*GENERATION_DEFAULTS, *named), TRUE)
            subject.attributes[GONE] = Table(dict(gone))
            return
        for name in GENERATION_KEYS:
            setting = given.pop(name, None)
            if setting is not None and name in subject.attributes:
                self._set_config(subject, name, setting)
            elif setting is not None or name in GENERATION_DEFAULTS:
                subject.attributes.setdefault(name, UNKNOWN if setting is None else setting)

    def no_attribute(self, value: Instance, name: str) -> Value:
        """Fail, as Python says it; what was a configuration's before is the generation's.

        Raises:
            RaisedError: always.
        """
        gone = value.attributes.get(GONE)
        if not isinstance(gone, Table) or name not in gone.entries:
            return super().no_attribute(value, name)
        message = f"'{value.class_name}' object has no attribute '{name}'"
        return self.fail(
            "attribute", "AttributeError", message, subject=name, owner=GENERATION_CONFIG
        )

    def _config_names(self, subject: Instance) -> list[str]:
        """Names that the library's classes give every such object."""
        names: dict[str, None] = {}
        for each in self._order(subject.cls):
            facts = each.facts if isinstance(each, LibraryName) else None
            if facts is None or not _is_configuration(facts):
                continue
            names.update(dict.fromkeys(facts.fields))
            for method in ("__init__", "__post_init__"):
                if method in facts.methods:
                    names.update(dict.fromkeys(facts.methods[method].self_sets))
        return [
            name
            for name in names
            if not (self.is_v5 and name in GENERATION_KEYS) and name not in ROPE_KEYS
        ]

    def _default_of(self, subject: Instance, name: str) -> Value:
        found = self.in_class(self._order(subject.cls), name)
        if found is not None and isinstance(found[1], Const):
            return found[1]
        if name.endswith("_token_id") or name == "_attn_implementation":
            return NONE
        return UNKNOWN

    def _set_config(self, subject: Instance, name: str, value: Value) -> None:
        if name in ("torch_dtype", "dtype"):
            value = _dtype(value)
            if self._has_property(subject, "torch_dtype"):
                name = "dtype"
            subject.attributes[name] = value
            return
        if name in ("_attn_implementation", "output_attentions", "num_labels", "name_or_path"):
            subject.attributes[name] = value
            return
        self.set_attribute(subject, name, value)

    def _has_property(self, subject: Instance, name: str) -> bool:
        found = self.in_class(self._order(subject.cls), name)
        return found is not None and isinstance(found[1], LibraryMethod)

    def _standardise_rope(self, subject: Instance) -> None:
        order = self._order(subject.cls)
        if self.in_class(order, "standardize_rope_params") is None:
            return
        is_property = self.in_class(order, "rope_scaling")
        if is_property is None:
            return
        given = subject.attributes.get("rope_scaling", NONE)
        theta = subject.attributes.get("rope_theta")
        # Where the class has a theta for those that name none, None becomes a dict as well.
        is_made = self.in_class(order, "default_theta") is not None and not (
            subject.attributes.keys().isdisjoint(ROPE_KEYS)
        )
        if isinstance(given, Table) or theta is not None or (is_made and given == NONE):
            entries = dict(given.entries) if isinstance(given, Table) else {}
            entries.setdefault("rope_type", entries.get("type", Const("default")))
            entries.setdefault("rope_theta", theta if theta is not None else NONE)
            subject.attributes["rope_scaling"] = Table(entries)
            subject.attributes["rope_parameters"] = subject.attributes["rope_scaling"]


def _is_configuration(facts: ClassFacts) -> bool:
    return "config" in facts.module or "Config" in facts.name


def _dtype(value: Value) -> Value:
    if isinstance(value, Const) and isinstance(value.value, str):
        name = value.value.removeprefix("torch.")
        return UNKNOWN if name == "auto" else Foreign(f"torch.{name}")
    return value
