"""Loads a model by its own code, from the copy that the user has agreed to.

Works with every transformers from 4.27 on. The library's `from_pretrained` is not asked for the
model: since 5.0 it builds on the meta device and leaves buffers that no file holds without values.
"""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from trueup.adapt.foreign import error_line
from trueup.adapt.own_weights import fill_own_weights
from trueup.adapt.plan import Plan
from trueup.adapt.staging import Staging, stage
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError, TrueUpError
from trueup.trust.copy import kept_code, trusted_code

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

# The Auto classes whose entry in auto_map generates text, in the order of preference.
MODEL_ENTRIES = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModel")
# From class, config and dtype to a model.
Build = Callable[[type[Any], "PretrainedConfig", "torch.dtype"], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnClasses:
    """The classes of a model's own code; None where it leaves that part to the library."""

    config: type[Any] | None
    model: type[Any]
    tokenizer: type[Any] | None


def load_own(
    checkpoint: Checkpoint,
    plan: Plan,
    progress: Callable[[float], None] | None = None,
    build: Build | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, tuple[int, ...]]:
    """The model on the plan's device, its tokenizer and its stop tokens.

    One that `build` makes stays without weights.

    Its folder of links stays: code and tokenizers may read files later. It lies in the folder for
    temporary files, a worker's own.

    Raises: AdaptError where the code may not run, cannot be loaded, or does not fit the weights;
    CheckpointError for a file that cannot be read.
    """
    model, tokenizer, staging = unfilled_own(checkpoint, plan, build or build_own)
    if build is None:
        fill_own_weights(model, checkpoint.weights, checkpoint.directory, progress)
    _set_generation(model, checkpoint, staging)
    model.eval()
    if build is None:
        model.to(plan.device)
    return model, tokenizer, _stop_tokens(model, tokenizer)


def unfilled_own(
    checkpoint: Checkpoint, plan: Plan, build: Build
) -> tuple[Any, PreTrainedTokenizerBase, Staging]:
    """A model without the values of its files, its tokenizer, and the folder of its code.

    Raises: as `load_own`.
    """
    import torch

    named = plan.model
    code = (
        trusted_code(checkpoint)
        if plan.code is None
        else kept_code(plan.code, source=named.source, directory=named.directory)
    )
    staging = stage(checkpoint, code, plan.fixes)
    if plan.fixes:
        import transformers

        from trueup.adapt.fixes.repair import repair_folder

        version = Version(transformers.__version__)
        repair_folder(plan.fixes, checkpoint, version, staging.directory)
    classes = own_classes(checkpoint, plan, staging)
    dtype: torch.dtype = getattr(torch, plan.dtype)
    with own_errors("its tokenizer cannot be built", staging):
        tokenizer = _tokenizer(classes, staging)
    with own_errors("its tokenizer encodes no text", staging):
        tokenizer("a")
    with own_errors("its config cannot be read", staging):
        config = _config(classes, staging, dtype)
    with own_errors("the model cannot be built", staging):
        model = build(classes.model, config, dtype)
        _out_of_half(model, dtype)
    return model, tokenizer, staging


def own_classes(checkpoint: Checkpoint, plan: Plan, staging: Staging) -> OwnClasses:
    """Import the code, as transformers imports it, from the folder of links.

    Raises: AdaptError where it cannot be imported.
    """
    entries = checkpoint.auto_map
    reference = plan.implementation
    if not reference or reference not in entries.values():
        reference = next((entries[each] for each in MODEL_ENTRIES if each in entries), None)
    if reference is None:
        raise AdaptError(
            "`auto_map` names no class that generates text, expected one of "
            + ", ".join(f"`{each}`" for each in MODEL_ENTRIES),
            where=str(checkpoint.directory / "config.json"),
        )
    config = entries.get("AutoConfig")
    tokenizer = _tokenizer_reference(checkpoint)
    with own_errors("its code cannot be imported", staging):
        return OwnClasses(
            config=None if config is None else _class(config, staging),
            model=_class(reference, staging),
            tokenizer=None if tokenizer is None else _class(tokenizer, staging),
        )


def build_own(model_class: type[Any], config: PretrainedConfig, dtype: torch.dtype) -> Any:
    """A model on the CPU whose weights have any values and whose buffers have their own.

    Raises: whatever its constructor raises.
    """
    import torch

    before = torch.get_default_dtype()
    # What `from_pretrained` does: some code computes its tables in the default dtype.
    torch.set_default_dtype(dtype)
    try:
        with _weights_left_empty():
            model = model_class(config)
            model.tie_weights()
    finally:
        torch.set_default_dtype(before)
    return model


@contextlib.contextmanager
def own_errors(what: str, staging: Staging) -> Iterator[None]:
    """What a model's own code raises, as an error that names its deepest line there."""
    try:
        yield
    except TrueUpError:
        raise
    except (Exception, SystemExit) as error:  # any code may run here
        raise AdaptError(
            f"{what}: {type(error).__name__}: {error_line(error)}",
            where=_place(error, staging),
        ) from error


def _place(error: BaseException, staging: Staging) -> str:
    names = {path.name for path in staging.directory.rglob("*.py")}
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if each.filename.rpartition("/")[2] in names]
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _tokenizer_reference(checkpoint: Checkpoint) -> str | None:
    """The slow class of its code, or the fast one where it brings one, as the library chooses."""
    named: Any = None
    for config in (checkpoint.tokenizer_config, checkpoint.config):
        entries = config.get("auto_map")
        if isinstance(entries, list | str):  # the oldest spelling
            entries = {"AutoTokenizer": entries}
        if isinstance(entries, dict) and entries.get("AutoTokenizer"):
            named = entries["AutoTokenizer"]
            break
    names = named if isinstance(named, list) else [named]
    return next((each for each in reversed(names) if isinstance(each, str) and each), None)


def _class(reference: str, staging: Staging) -> type[Any]:
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    folder, local = staging.code(reference)
    if "class_reference" in inspect.signature(get_class_from_dynamic_module).parameters:
        found: type[Any] = get_class_from_dynamic_module(local, str(folder))
    else:  # before 4.28
        module, _, name = local.rpartition(".")
        found = get_class_from_dynamic_module(str(folder), f"{module}.py", name)
    return found


def _tokenizer(classes: OwnClasses, staging: Staging) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    directory = str(staging.directory)
    if classes.tokenizer is None:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=True
        )
        return tokenizer
    load: Callable[..., PreTrainedTokenizerBase] = classes.tokenizer.from_pretrained
    options = {"local_files_only": True, "trust_remote_code": True}
    known = inspect.signature(load).parameters
    return load(directory, **{name: each for name, each in options.items() if name in known})


def _config(classes: OwnClasses, staging: Staging, dtype: torch.dtype) -> PretrainedConfig:
    from transformers import AutoConfig

    config_class: Any = classes.config or AutoConfig
    config: PretrainedConfig = config_class.from_pretrained(str(staging.directory))
    # Code of 2023 builds its layers in it, and wants a dtype, not a name.
    config.torch_dtype = dtype
    return config


@contextlib.contextmanager
def _weights_left_empty() -> Iterator[None]:
    """Initialise no parameter: every one gets its values from the files, or is refused."""
    from transformers import PreTrainedModel

    initialise = PreTrainedModel._initialize_weights
    PreTrainedModel._initialize_weights = lambda *_, **__: None
    try:
        with _parameters_skipped():
            yield
    finally:
        PreTrainedModel._initialize_weights = initialise


@contextlib.contextmanager
def _parameters_skipped() -> Iterator[None]:
    import torch

    functions = {
        name: each
        for name, each in vars(torch.nn.init).items()
        if name.endswith("_") and not name.startswith("_") and callable(each)
    }

    def skipping(function: Callable[..., Any]) -> Callable[..., Any]:
        def skip(tensor: torch.Tensor, *values: Any, **options: Any) -> Any:
            if isinstance(tensor, torch.nn.Parameter):
                return tensor
            return function(tensor, *values, **options)  # buffers are in no file

        return skip

    for name, each in functions.items():
        setattr(torch.nn.init, name, skipping(each))
    try:
        yield
    finally:
        for name, each in functions.items():
            setattr(torch.nn.init, name, each)


def _out_of_half(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Convert what code builds in 16 bits, whatever the config asks for.

    What it keeps in fp32 stays there: rope's tables and some norms are exact in nothing else.
    """
    import torch

    def is_half(tensor: torch.Tensor) -> bool:
        return tensor.dtype in (torch.float16, torch.bfloat16) and tensor.dtype != dtype

    for parameter in filter(is_half, model.parameters()):
        parameter.data = torch.empty_like(parameter, dtype=dtype)  # its values come from the files
    for buffer in filter(is_half, model.buffers()):
        buffer.data = buffer.data.to(dtype)


def _set_generation(model: Any, checkpoint: Checkpoint, staging: Staging) -> None:
    if not checkpoint.generation_config:
        return
    from transformers import GenerationConfig

    with own_errors("its generation_config.json cannot be read", staging):
        model.generation_config = GenerationConfig.from_pretrained(str(staging.directory))


def _stop_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    generation = getattr(model, "generation_config", None)
    for owner in (generation, model.config, tokenizer):
        value = getattr(owner, "eos_token_id", None)
        if isinstance(value, int):
            return (value,)
        if value:
            return tuple(int(each) for each in value)
    return ()
