"""Which modules of which libraries are indexed, and how deep."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from trueup.environment.symbols.facts import ClassFacts, FunctionFacts, ModuleFacts, Parameter

# With what bodies do; without; only what calls of the class itself take; that methods are there;
# not even that; only that the module is there.
Depth = Literal["bodies", "signatures", "outline", "members", "names", "presence"]

# What an outline keeps: the signatures of these methods (of others, that they are there) and the
# values of these class attributes.
OUTLINED = frozenset({"__init__"})
TOLD_VALUES = frozenset({"attribute_map", "base_model_prefix", "main_input_name", "model_type"})
ANY_PARAMETERS = (
    Parameter(name="args", kind="star"),
    Parameter(name="kwargs", kind="double_star"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """How one library is indexed.

    Lazy packages in `not_completed` keep only
    what their source says: their names are found elsewhere.
    """

    name: str
    depth: Callable[[str], Depth]
    not_completed: frozenset[str] = frozenset()
    pip_options: tuple[str, ...] = ()
    # Where an outline keeps imports from: what a module defines itself is kept everywhere.
    kept_imports: tuple[str, ...] = ()

    def trimmed(self, facts: ModuleFacts) -> ModuleFacts:
        """The facts without what is not kept at the module's depth."""
        depth = self.depth(facts.name)
        if depth == "bodies":
            return facts
        exports, classes, values = facts.exports, facts.classes, facts.values
        if depth == "outline":
            values = {name: None for name in values if not name.startswith("_")}
            exports = {
                name: export
                for name, export in exports.items()
                if export.kind != "value" or name in values
            }
        if depth in ("outline", "names"):
            kept = self.kept_imports
            exports = {
                name: export
                for name, export in exports.items()
                if facts.is_package or export.target is None or export.target.startswith(kept)
            }
        return replace(
            facts,
            has_bodies=False,
            exports=exports,
            values=values,
            functions={
                name: _trimmed_function(one, depth) for name, one in facts.functions.items()
            },
            classes={name: _trimmed_class(one, depth) for name, one in classes.items()},
        )


def _trimmed_function(function: FunctionFacts, depth: Depth) -> FunctionFacts:
    if depth == "names":
        return replace(function, steps=(), decorators=(), parameters=ANY_PARAMETERS)
    return replace(function, steps=())


def _trimmed_class(facts: ClassFacts, depth: Depth) -> ClassFacts:
    methods = {name: _trimmed_method(one, depth) for name, one in facts.methods.items()}
    if depth != "outline":
        return replace(facts, methods=methods if depth != "names" else {})
    return replace(
        facts,
        methods=methods,
        attributes={
            name: text if name in TOLD_VALUES else None for name, text in facts.attributes.items()
        },
        fields=tuple(name for name in facts.fields if name not in facts.attributes),
    )


def _trimmed_method(function: FunctionFacts, depth: Depth) -> FunctionFacts:
    if depth == "signatures" or (depth == "outline" and function.name in OUTLINED):
        return replace(function, steps=())
    return replace(function, steps=(), decorators=(), parameters=ANY_PARAMETERS, is_abstract=False)


# Converters, tests and commands are no part of what remote code builds upon.
LEFT_OUT = re.compile(
    r"transformers\.(models\.\w+\.(convert|modular)_\w+|(commands|cli|benchmark|kernels)\b.*"
    r"|.*\bdummy_\w+|testing_utils|sagemaker\b.*|test\w*\..*)"
)
OTHER_BACKEND = re.compile(r".*\.(\w+_)?(tf|flax)(_\w+)?")
DEEP_PACKAGES = "generation|utils|integrations|models\\.auto|quantizers|distributed|loss"
DEEP = re.compile(
    rf"transformers(\.({DEEP_PACKAGES})(\.\w+)?|\.(models|activations|cache_utils|masking_utils"
    r"|pytorch_utils|processing_utils|file_utils|backbone_utils|core_model_loading|initialization"
    r"|conversion_mapping|dynamic_module_utils|convert_slow_tokenizer"
    r"|(configuration|modeling|tokenization|image|feature|video)_\w+))?"
)
# Families whose classes remote code takes as its own base.
POPULAR = (
    "bart bert blip_2 bloom clip dinov2 falcon gemma gemma2 glm gpt2 gpt_bigcode gpt_neo gpt_neox"
    " gptj llama llava mamba mistral mixtral mpt mt5 opt phi phi3 qwen2 qwen2_moe qwen2_vl"
    " qwen2_5_vl qwen3 roberta siglip starcoder2 t5 vit whisper xlm_roberta"
)
POPULAR_MODULE = re.compile(rf"transformers\.models\.({'|'.join(POPULAR.split())})\.\w+")


def _transformers_depth(name: str) -> Depth:
    if LEFT_OUT.fullmatch(name):
        return "presence"
    if OTHER_BACKEND.fullmatch(name):
        return "names"
    if DEEP.fullmatch(name):
        return "bodies"
    if POPULAR_MODULE.fullmatch(name):
        return "bodies"
    return "outline" if name.startswith("transformers.models.") else "members"


# Wheels for this platform are small, and their Python files are those of every other.
TORCH_PLATFORMS = tuple(f"--platform=macosx_{number}_0_arm64" for number in (11, 12, 14))
# Nothing that models import: compilers, exporters, tests, quantisation.
TORCH_LEFT_OUT = re.compile(
    r"torch\.(_inductor|_dynamo|_export|_functorch|_higher_order_ops|_numpy|_vendor|_logging"
    r"|_custom_op|_library|testing|onnx|ao|quantization|contrib|lib|package|export|ns|_lazy"
    r"|nativert|csrc|headeronly|distributed\.\w+|fx\.(passes|experimental)|jit\._\w+|_C\._\w+"
    r"|utils\.(benchmark|tensorboard|hipify|_sympy|data\.datapipes|viz|bottleneck))\.\w+.*"
    r"|torch\.(_subclasses|_refs|_meta_registrations|_prims\w*|_native|_decomp|_guards|numa"
    r"|_strobelight|_jit_internal|_utils_internal|overrides|distributed\._\w+)\b.*"
    r"|torch\._C\._(?!VariableFunctions)\w+|.*\._?test\w*"
)


def _torch_depth(name: str) -> Depth:
    if TORCH_LEFT_OUT.fullmatch(name):
        return "presence"
    if name == "torch.nn.modules.module":
        return "bodies"
    if name.startswith(("torch.nn.modules.", "torch.nn.functional", "torch.nn.utils.")):
        return "signatures"
    return "members" if name in ("torch._C", "torch._tensor") else "names"


LIBRARIES = {
    "torch": Library(
        name="torch",
        depth=_torch_depth,
        pip_options=TORCH_PLATFORMS,
        kept_imports=("torch.",),
    ),
    "transformers": Library(
        name="transformers",
        depth=_transformers_depth,
        not_completed=frozenset({"transformers.models"}),
        kept_imports=("transformers.models.",),
    ),
}
