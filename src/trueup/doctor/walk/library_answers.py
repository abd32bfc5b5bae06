"""What functions and classes of the library give."""

from __future__ import annotations

from trueup.doctor.walk.containers import Containers
from trueup.doctor.walk.imports import MODELS
from trueup.doctor.walk.values import (
    FALSE,
    NONE,
    TRUE,
    UNKNOWN,
    Const,
    Instance,
    LibraryMethod,
    LibraryName,
    Value,
)
from trueup.environment.symbols.facts import ClassFacts

# Packages behind the library's own questions of this form.
AVAILABLE = {
    "is_torch_available": "torch", "is_sentencepiece_available": "sentencepiece",
    "is_accelerate_available": "accelerate", "is_scipy_available": "scipy",
    "is_vision_available": "pillow", "is_peft_available": "peft", "is_tf_available": "tensorflow",
    "is_flax_available": "flax", "is_bitsandbytes_available": "bitsandbytes",
    "is_deepspeed_available": "deepspeed", "is_einops_available": "einops",
    "is_flash_attn_2_available": "flash-attn", "is_flash_attn_available": "flash-attn",
    "is_mamba_ssm_available": "mamba-ssm", "is_mamba_2_ssm_available": "mamba-ssm",
    "is_causal_conv1d_available": "causal-conv1d", "is_apex_available": "apex",
    "is_xformers_available": "xformers", "is_triton_available": "triton",
}  # fmt: skip


class LibraryAnswers(Containers):
    """Answers for what is not followed."""

    def library_answer(
        self, dotted: str, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """The answer of a library function that is not walked."""
        name = dotted.rpartition(".")[2]
        if name in AVAILABLE:
            return Const(AVAILABLE[name] in self.world.packages)
        if name == "is_torch_fx_proxy":
            return FALSE
        if name.startswith("is_torch_greater_or_equal_than") or name == "is_torch_greater_or_equal":
            return TRUE
        if "attention_mask" in name or name in ("apply_rotary_pos_emb", "rotate_half"):
            return UNKNOWN
        return UNKNOWN

    def library_object(
        self, cls: LibraryName, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """An object of a class of the library."""
        made = Instance(cls, is_open=True)
        facts = cls.facts
        if facts is None:
            return made
        order = self.world.symbols.mro(facts.dotted)
        if any(each.name == "ModelOutput" for each in order):
            fields = [name for each in reversed(order) for name in each.fields]
            # A metaclass may let a class take the names of older releases as well.
            takes_others = any(each.metaclass is not None for each in order)
            for name, value in (*zip(fields, arguments, strict=False), *keywords.items()):
                made.attributes[name] = value
            for name in keywords:
                if fields and name not in fields and not takes_others:
                    self.fail(
                        "argument",
                        "TypeError",
                        f"{facts.name}.__init__() got an unexpected keyword argument '{name}'",
                        subject=facts.dotted,
                        owner=name,
                    )
            for name in fields:
                made.attributes.setdefault(name, NONE)
        if facts.module.startswith(MODELS) and arguments:
            self._init_part(made, arguments[0])
        if self.is_cache(made):
            made.is_open = False
            self.fill_cache(made)
        return made

    def _init_part(self, made: Instance, config: Value) -> None:
        """A model of the library's own as part of the model's."""
        found = self.in_class(self._order(made.cls), "__init__")
        if found is None or not isinstance(found[1], LibraryMethod) or not self.is_module(made.cls):
            return
        made.attributes["config"] = config
        self.read_config_of(found[1], made)

    def read_config_of(self, method: LibraryMethod, subject: Instance) -> None:
        """What a constructor reads of a configuration."""
        raise NotImplementedError

    def config_of_type(self, model_type: str) -> ClassFacts | None:
        """The library's configuration class of a type of model; None where it has none."""
        name = model_type.replace("-", "_")
        module = (
            self.world.symbols.module(f"{MODELS}{name}.configuration_{name}")
            if name.isidentifier()
            else None
        )
        for facts in module.classes.values() if module is not None else ():
            if facts.attributes.get("model_type") == repr(model_type):
                return facts
        return None

    def fill_cache(self, made: Instance) -> None:
        """What the methods of a cache set."""
        if isinstance(made.cls, LibraryName):
            for owner in self.world.symbols.mro(made.cls.dotted):
                for function in owner.methods.values():
                    for name in function.self_sets:
                        made.attributes.setdefault(name, UNKNOWN)
