"""Where a model will run and in which dtype, and whether it fits there. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from trueup.adapt.plan import Caveat, Memory
from trueup.adapt.sizes import ForecastSizes, estimate_memory, file_dtype, forecast_memory
from trueup.adapt.wishes import INT8, ONNXRUNTIME, TORCH, Wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.environment.environment import Gpu, Hardware

GIB = 1024**3
MIB = 1024**2
NARROWER_HINT = "`--dtype bfloat16` halves what the weights need"
# What is lost where weights are kept in another dtype than they were published in.
LOSSES = {
    ("float32", "int8"): "all but 8 bits, with a scale for each row",
    ("float16", "int8"): "all but 8 bits, with a scale for each row",
    ("bfloat16", "int8"): "all but 8 bits, with a scale for each row",
    ("float32", "float16"): "13 of 23 bits of precision, and numbers beyond 65504",
    ("float32", "bfloat16"): "16 of 23 bits of precision",
    ("float16", "bfloat16"): "3 of 10 bits of precision",
    ("bfloat16", "float16"): "numbers beyond 65504 and below 6e-8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Device, dtype and memory of a plan; `against` says why it cannot be."""

    device: str
    dtype: str
    memory: Memory
    why: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    against: tuple[str, ...] = ()


def place(
    checkpoint: Checkpoint,
    hardware: Hardware,
    wishes: Wishes,
    *,
    is_embedding: bool = False,
    forecasting: ForecastSizes | None = None,
) -> Placement:
    """Choose device and dtype.

    A GPU is used where there is one that the model fits into, in the file's dtype; a CPU computes
    in bfloat16 where it can do that natively, else in float32; an embedding model in float32
    always, and on a CPU where it is to be int8; a forecasting model in float32 everywhere, in
    which its tokens are the published code's. A model is refused where it does not fit the
    whole of the memory, not where others take it for the moment.
    """
    placed = partial(_placed, checkpoint, hardware, wishes, is_embedding, forecasting)
    if wishes.device != "auto":
        return placed(wishes.device)
    if not hardware.gpus or _dtype_wish(wishes) == INT8:
        return placed("cpu")
    on_gpu = placed(_name(_largest(hardware.gpus)))
    if not on_gpu.against:
        return on_gpu
    on_cpu = placed("cpu")
    if on_cpu.against:
        return on_gpu
    return Placement(
        device=on_cpu.device,
        dtype=on_cpu.dtype,
        memory=on_cpu.memory,
        why=(*on_gpu.against, *on_cpu.why),
        caveats=on_cpu.caveats,
    )


def _placed(
    checkpoint: Checkpoint,
    hardware: Hardware,
    wishes: Wishes,
    is_embedding: bool,
    forecasting: ForecastSizes | None,
    device: str,
) -> Placement:
    if forecasting is None:
        dtype, reason = _dtype(checkpoint, hardware, wishes, device, is_embedding=is_embedding)
        memory = estimate_memory(checkpoint, dtype, device, is_embedding=is_embedding)
    else:
        dtype, reason = _forecast_dtype(wishes)
        memory = forecast_memory(checkpoint, forecasting, dtype, device)
    against = (
        _against_device(hardware, device)
        or _against_int8(dtype, device, wishes, is_embedding=is_embedding)
        or _against_size(memory, hardware, device, dtype)
    )
    return Placement(
        device=device,
        dtype=dtype,
        memory=memory,
        why=(f"{dtype} on {device}: {reason}",),
        caveats=_caveats(file_dtype(checkpoint), dtype),
        against=against,
    )


def _dtype_wish(wishes: Wishes) -> str:
    """The dtype that was asked for; what onnxruntime is used for is int8."""
    return INT8 if wishes.dtype == "auto" and wishes.engine == ONNXRUNTIME else wishes.dtype


def _dtype(
    checkpoint: Checkpoint,
    hardware: Hardware,
    wishes: Wishes,
    device: str,
    *,
    is_embedding: bool,
) -> tuple[str, str]:
    wanted = _dtype_wish(wishes)
    if wanted != "auto":
        return wanted, "as asked for"
    if device != "cpu":
        return file_dtype(checkpoint), "the dtype of the weight files"
    if is_embedding:
        return "float32", "vectors stay comparable with those of other machines"
    if hardware.has_native_bf16:
        return "bfloat16", "this processor computes it natively"
    return "float32", "this processor does not compute bfloat16 natively"


def _forecast_dtype(wishes: Wishes) -> tuple[str, str]:
    wanted = _dtype_wish(wishes)
    if wanted != "auto":
        return wanted, "as asked for"
    return "float32", "its forecasts are those of the published code"


def _against_device(hardware: Hardware, device: str) -> tuple[str, ...]:
    if device == "cpu" or _gpu(hardware, device) is not None:
        return ()
    there = ", ".join(_name(gpu) for gpu in hardware.gpus) or "no GPU"
    return (f"the device `{device}` was asked for, and this machine has {there}",)


def _against_int8(
    dtype: str, device: str, wishes: Wishes, *, is_embedding: bool
) -> tuple[str, ...]:
    """int8 is computed by onnxruntime, on a CPU, for embedding models; nothing else is."""
    wanted = ONNXRUNTIME if dtype == INT8 else TORCH
    if wishes.engine not in ("auto", wanted):
        return (f"`{dtype}` is computed by `{wanted}`, and `{wishes.engine}` was asked for",)
    if dtype != INT8:
        return ()
    if not is_embedding:
        return (f"`{INT8}` is for embedding models, and this is none",)
    if device != "cpu":
        return (f"`{INT8}` is computed on a CPU, and `{device}` was asked for",)
    return ()


def _against_size(memory: Memory, hardware: Hardware, device: str, dtype: str) -> tuple[str, ...]:
    gpu = _gpu(hardware, device)
    total = hardware.host_total_bytes if gpu is None else gpu.total_bytes
    needed = memory.weights_bytes + memory.kv_bytes_per_1k_tokens + memory.overhead_bytes
    if total is None or needed <= total:
        return ()
    place_name = "this machine" if gpu is None else f"`{_name(gpu)}` ({gpu.name})"
    return (
        f"it needs {size_words(needed)} ({size_words(memory.weights_bytes)} of weights, "
        f"{size_words(memory.kv_bytes_per_1k_tokens)} for 1000 tokens, "
        f"{size_words(memory.overhead_bytes)} besides), and {place_name} has {size_words(total)}"
        + (f"; {NARROWER_HINT}" if dtype == "float32" else ""),
    )


def _caveats(published: str, dtype: str) -> tuple[Caveat, ...]:
    loss = LOSSES.get((published, dtype))
    if loss is None:
        return ()
    text = (
        f"the weights were published in {published}: in {dtype} they lose {loss}; "
        f"`--dtype {'float32' if published == 'float16' else published}` keeps them exactly"
    )
    return (Caveat(code="DTYPE", text=text),)


def size_words(size_bytes: int) -> str:
    """A size to be read by people: GiB, MiB below one, and no number that nobody could read."""
    if size_bytes >= GIB * GIB:
        return "over a billion GiB"
    if size_bytes >= GIB * 10_000:
        return f"{size_bytes / GIB:,.0f} GiB"
    if size_bytes >= GIB:
        return f"{size_bytes / GIB:.1f} GiB"
    return f"{size_bytes / MIB:.1f} MiB"


def _gpu(hardware: Hardware, device: str) -> Gpu | None:
    index = int(device.partition(":")[2] or 0)
    return next((g for g in hardware.gpus if device != "cpu" and g.index == index), None)


def _largest(gpus: tuple[Gpu, ...]) -> Gpu:
    return max(gpus, key=lambda gpu: gpu.total_bytes or 0)


def _name(gpu: Gpu) -> str:
    return f"cuda:{gpu.index}"
