"""Compares what a model computes for itself while it is built with a construction on the CPU.

Rope tables, masks and position numbers are in no weight file. A loader that builds the model on
the meta device can leave them without values, whatever it says.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from trueup.adapt.guard_fault import BUFFER, Fault

if TYPE_CHECKING:
    import torch

# A vector instruction may round the last bit of a power otherwise than a scalar one.
RELATIVE_DIFFERENCE = 1e-6
Computed = Mapping[str, "torch.Tensor"]
# Builds them anew, under this default dtype.
Rebuild = Callable[["torch.dtype"], Computed]


def unheld_buffers(model: torch.nn.Module, unexplained: Collection[str]) -> frozenset[str]:
    """The persistent buffers that no file holds, of all tensors that none was found for."""
    return frozenset(dict(model.named_buffers(remove_duplicate=False))) & {*unexplained}


def check_buffers(
    model: torch.nn.Module, rebuild: Rebuild, unheld: Collection[str] = ()
) -> tuple[Fault, ...]:
    """Non-persistent buffers, and tensors kept as plain attributes, that are not as rebuilt.

    So are the persistent ones of the names `unheld`, which a file would hold and none does.
    Allowed is exactly a conversion to another dtype: they are as built under the model's default
    dtype or under fp32, converted. Run it before the first forward pass: some tables grow in it.
    """
    import torch

    left = computed_tensors(model, unheld)
    expected: list[Computed] = []
    for dtype in dict.fromkeys((_default_dtype(model), torch.float32)):
        if left:
            expected.append(rebuild(dtype))
            left = {
                name: tensor
                for name, tensor in left.items()
                if _differs(tensor, expected[-1].get(name)) is not None
            }
    return tuple(_fault(name, tensor, expected[0].get(name)) for name, tensor in left.items())


def check_some_buffers(model: Any, unheld: Collection[str] = ()) -> tuple[Fault, ...]:
    """As `check_buffers`, building only the modules that have any where these need a config alone.

    Whatever is not as such a module computes it, the whole model is built for.
    """
    with contextlib.suppress(Exception):  # a module that is not built so
        if not check_buffers(model, lambda dtype: _modules_alone(model, dtype, unheld), unheld):
            return ()
    return check_all_buffers(model, unheld)


def check_all_buffers(model: Any, unheld: Collection[str] = ()) -> tuple[Fault, ...]:
    """As `check_buffers`, with a construction of the whole model."""
    faults = check_buffers(model, rebuilder(model), unheld)
    if any(each.name in unheld for each in faults):
        # Functions that initialise weights may also have set a buffer.
        return check_buffers(model, rebuilder(model, initialises=True), unheld)
    return faults


def _modules_alone(model: Any, dtype: torch.dtype, unheld: Collection[str]) -> Computed:
    owners = {name.rpartition(".")[0] for name in computed_tensors(model, unheld)}
    found: dict[str, torch.Tensor] = {}
    with _parameters_on_meta(), _default(dtype):
        for owner in owners:
            module = model.get_submodule(owner)
            config = copy.deepcopy(getattr(module, "config", model.config))
            alone = type(module)(config)
            computed = computed_tensors(alone, dict(alone.named_buffers()))
            found |= {f"{owner}.{name}": each for name, each in computed.items()}
    return found


def computed_tensors(
    model: torch.nn.Module, unheld: Collection[str] = ()
) -> dict[str, torch.Tensor]:
    """Non-persistent buffers and tensors that are plain attributes of modules, by their names.

    With them the persistent buffers of the names `unheld`.
    """
    import torch

    found: dict[str, torch.Tensor] = {}
    for prefix, module in model.named_modules():
        start = f"{prefix}." if prefix else ""
        for name, buffer in module._buffers.items():
            is_computed = name in module._non_persistent_buffers_set or start + name in unheld
            if buffer is not None and is_computed:
                found[start + name] = buffer
        for name, value in vars(module).items():
            if isinstance(value, torch.Tensor):
                found[start + name] = value
    return found


def rebuilder(model: Any, *, initialises: bool = False) -> Rebuild:
    """Builds another model of the same class and config, on the CPU, without its parameters."""
    model_class, config = type(model), model.config

    def build() -> Computed:
        built = model_class(copy.deepcopy(config))
        return computed_tensors(built, dict(built.named_buffers(remove_duplicate=False)))

    def rebuild(dtype: torch.dtype) -> Computed:
        try:
            with _parameters_on_meta(initialises=initialises), _default(dtype):
                return build()
        except Exception:  # a model's own code may compute with its parameters while it is built
            with _default(dtype):
                return build()

    return rebuild


@contextlib.contextmanager
def _parameters_on_meta(*, initialises: bool = False) -> Iterator[None]:
    """Parameters that this thread makes hold no memory; nothing initialises them by default."""
    import torch
    from torch.nn.modules.module import register_module_parameter_registration_hook

    thread = threading.get_ident()

    def to_meta(_module: Any, _name: str, parameter: Any) -> Any:
        if parameter is None or parameter.is_meta or threading.get_ident() != thread:
            return None
        return torch.nn.Parameter(parameter.detach().to("meta"), requires_grad=False)

    handle = register_module_parameter_registration_hook(to_meta)
    try:
        with (
            torch.random.fork_rng(devices=[]),
            contextlib.nullcontext() if initialises else _no_init_weights(),
        ):
            yield
    finally:
        handle.remove()


def _no_init_weights() -> contextlib.AbstractContextManager[Any]:
    try:
        from transformers.initialization import no_init_weights
    except ImportError:
        from transformers.modeling_utils import no_init_weights
    found: contextlib.AbstractContextManager[Any] = no_init_weights()
    return found


@contextlib.contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _default_dtype(model: Any) -> torch.dtype:
    import torch

    dtype = getattr(model, "dtype", torch.float32)
    found: torch.dtype = dtype if dtype.is_floating_point else torch.float32
    return found


def _differs(found: torch.Tensor, expected: torch.Tensor | None) -> str | None:
    """What is wrong; None where `found` is as expected, converted."""
    import torch

    if expected is None:
        return "is not there when the model is built on the CPU"
    if found.is_meta:
        return "has no values"
    if found.shape != expected.shape:
        return f"has the shape {list(found.shape)}, and {list(expected.shape)} built on the CPU"
    here = found.detach().cpu()
    there = expected.detach().to(here.dtype)
    if torch.equal(here, there):
        return None
    if here.is_floating_point() and torch.allclose(
        here, there, rtol=RELATIVE_DIFFERENCE, atol=0, equal_nan=True
    ):
        return None
    return "is not what a construction on the CPU computes"


def _fault(name: str, found: torch.Tensor, expected: torch.Tensor | None) -> Fault:
    what = _differs(found, expected) or ""
    if expected is None or found.is_meta or found.shape != expected.shape:
        return Fault(code=BUFFER, name=name, what=what)
    here, there = found.detach().cpu().double().flatten(), expected.detach().double().flatten()
    distance = (here - there).abs().nan_to_num(nan=float("inf"))
    worst = int(distance.argmax())
    what += f": number {worst} is `{here[worst]:.6g}`, expected `{there[worst]:.6g}`"
    return Fault(code=BUFFER, name=name, what=what, amount=float(distance[worst]))
