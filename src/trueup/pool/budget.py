"""Whether one more model fits into memory: pure arithmetic over the plan's estimate.

It reads nothing and decides nothing else; who would have to leave is not its question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueup.adapt.plan import Memory, Plan

# The cache of keys and values grows with the conversation: an ordinary one is reserved, the
# full context of a long-context model would refuse models that run well.
RESERVED_CONTEXT_TOKENS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What models may use, in bytes; None where only the machine's memory is the limit.

    GPU memory is not checked without a limit: the server knows no measured figure for it.
    """

    host_bytes: int | None = None
    gpu_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What a model that is loaded or being loaded takes or will take.

    `resident_bytes` is the part that the machine already counts as used.
    """

    model_id: str
    needed_bytes: int
    resident_bytes: int
    on_gpu: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Why a model does not fit, in numbers."""

    needed_bytes: int
    free_bytes: int
    limit: str

    def __str__(self) -> str:
        return (
            f"needs {_shown(self.needed_bytes)}, {_shown(self.free_bytes)} are free of {self.limit}"
        )


def needed_bytes(plan: Plan) -> int:
    """Memory that a loaded model takes with one ordinary conversation."""
    memory: Memory = plan.memory
    tokens = min(plan.context_tokens or RESERVED_CONTEXT_TOKENS, RESERVED_CONTEXT_TOKENS)
    cache_bytes = memory.kv_bytes_per_1k_tokens * tokens // 1000
    return memory.weights_bytes + memory.overhead_bytes + cache_bytes


def is_on_gpu(plan: Plan) -> bool:
    """Whether the weights go to a GPU."""
    return plan.device.startswith("cuda")


def shortage(
    plan: Plan, others: Sequence[Reservation], *, budget: Budget, available_bytes: int | None
) -> Shortage | None:
    """Why `plan` does not fit beside `others`, None where it does.

    `available_bytes` is the host memory that the system has left now, None where unknown.
    """
    needed = needed_bytes(plan)
    on_gpu = is_on_gpu(plan)
    beside = [each for each in others if each.on_gpu == on_gpu]
    reserved = sum(max(each.needed_bytes, each.resident_bytes) for each in beside)
    limit = budget.gpu_bytes if on_gpu else budget.host_bytes
    if limit is not None and needed > limit - reserved:
        name = "gpu_bytes" if on_gpu else "host_bytes"
        return Shortage(
            needed_bytes=needed,
            free_bytes=max(0, limit - reserved),
            limit=f"the {_shown(limit)} of `memory.{name}`",
        )
    if on_gpu or available_bytes is None:
        return None
    # What others have reserved and not yet touched still counts as available to the system.
    pending = sum(max(0, each.needed_bytes - each.resident_bytes) for each in beside)
    free = max(0, available_bytes - pending)
    if needed > free:
        return Shortage(needed_bytes=needed, free_bytes=free, limit="the machine's memory")
    return None


def _shown(size_bytes: int) -> str:
    if size_bytes >= 10**8:
        return f"{size_bytes / 10**9:.1f} GB"
    return f"{size_bytes / 10**6:.1f} MB"
