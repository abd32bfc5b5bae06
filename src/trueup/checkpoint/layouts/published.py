"""Settings of published models that shapes do not show, by the shapes that they have. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published model: its measures, and what its config says beyond them."""

    name: str
    model_type: str
    hidden: int
    inner: int
    layers: int
    vocabulary: int | None = None
    head_dim: int = 128
    rope_theta: float
    eps: float
    context: int


def _llama(name: str, hidden: int, inner: int, layers: int, **more: object) -> Published:
    settings: dict[str, object] = {
        "model_type": "llama", "rope_theta": 10000.0, "eps": 1e-5, "context": 4096,
    } | more  # fmt: skip
    return Published(name=name, hidden=hidden, inner=inner, layers=layers, **settings)  # type: ignore[arg-type]


def _qwen(kind: str, name: str, hidden: int, inner: int, layers: int, **more: object) -> Published:
    settings: dict[str, object] = {
        "model_type": kind, "rope_theta": 1000000.0, "eps": 1e-6, "context": 32768,
    } | more  # fmt: skip
    return Published(name=name, hidden=hidden, inner=inner, layers=layers, **settings)  # type: ignore[arg-type]


# The first that fits is taken: those with a vocabulary stand before those without.
PUBLISHED = (
    _llama("Llama-3-8B", 4096, 14336, 32, vocabulary=128256, rope_theta=500000.0, context=8192),
    _llama("Llama-3-70B", 8192, 28672, 80, vocabulary=128256, rope_theta=500000.0, context=8192),
    _llama("Llama-3.2-1B", 2048, 8192, 16, vocabulary=128256, head_dim=64, rope_theta=500000.0,
           context=131072),
    _llama("Llama-3.2-3B", 3072, 8192, 28, vocabulary=128256, rope_theta=500000.0, context=131072),
    _llama("Mistral-7B-v0.1", 4096, 14336, 32, vocabulary=32000, model_type="mistral",
           context=32768),
    _llama("Mistral-7B-v0.3", 4096, 14336, 32, vocabulary=32768, model_type="mistral",
           rope_theta=1000000.0, context=32768),
    _llama("Llama-2-7B", 4096, 11008, 32),
    _llama("Llama-2-13B", 5120, 13824, 40),
    _llama("Llama-2-70B", 8192, 28672, 80),
    _llama("TinyLlama-1.1B", 2048, 5632, 22, head_dim=64, context=2048),
    _qwen("qwen2", "Qwen2-0.5B", 896, 4864, 24, head_dim=64),
    _qwen("qwen2", "Qwen2-1.5B", 1536, 8960, 28),
    _qwen("qwen2", "Qwen2-7B", 3584, 18944, 28),
    _qwen("qwen2", "Qwen2-72B", 8192, 29568, 80),
    _qwen("qwen2", "Qwen2.5-3B", 2048, 11008, 36),
    _qwen("qwen2", "Qwen2.5-14B", 5120, 13824, 48),
    _qwen("qwen2", "Qwen2.5-32B", 5120, 27648, 64),
    _qwen("qwen3", "Qwen3-0.6B", 1024, 3072, 28, context=40960),
    _qwen("qwen3", "Qwen3-1.7B", 2048, 6144, 28, context=40960),
    _qwen("qwen3", "Qwen3-4B", 2560, 9728, 36, context=40960),
    _qwen("qwen3", "Qwen3-8B", 4096, 12288, 36, context=40960),
    Published(name="glm-4-9b-chat-hf", model_type="glm", hidden=4096, inner=13696, layers=40,
              rope_theta=10000.0, eps=1.5625e-07, context=131072),
)  # fmt: skip
# What stands in the configs of a family where no published model has these measures.
FAMILY = {
    "llama": _llama("Llama-2-7B", 0, 0, 0),
    "mistral": _llama("Mistral-7B-v0.1", 0, 0, 0, context=32768),
    "qwen2": _qwen("qwen2", "Qwen2-7B", 0, 0, 0),
    "qwen3": _qwen("qwen3", "Qwen3-8B", 0, 0, 0, context=40960),
    "glm": PUBLISHED[-1],
    "glm4": PUBLISHED[-1],
}


def published(
    model_types: tuple[str, ...], hidden: int, inner: int, layers: int, vocabulary: int
) -> Published | None:
    """The published model of one of the types with these measures."""
    measures = (hidden, inner, layers)
    return next(
        (
            each
            for each in PUBLISHED
            if each.model_type in model_types
            and (each.hidden, each.inner, each.layers) == measures
            and each.vocabulary in (None, vocabulary)
        ),
        None,
    )
