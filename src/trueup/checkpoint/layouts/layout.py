"""What the names and shapes of tensors say about a config: values, each with its reason.

Pure. A value that shapes do not determine is a guess and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trueup.checkpoint.checkpoint import TensorInfo

# `weights` and `tokenizer` are determined by files; `code` by the model's own Python files.
Origin = Literal["weights", "tokenizer", "code", "guess", "kept"]
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
LAYER_LIMIT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One key of a config, where its value comes from and why it is what it is."""

    key: str
    value: Any
    origin: Origin
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a layout may look at: tensors by name, the tokenizer's facts, the code's classes."""

    tensors: Mapping[str, TensorInfo]
    vocabulary_size: int | None = None
    token_ids: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape; empty where there is no such tensor."""
        info = self.tensors.get(name)
        return info.shape if info is not None else ()

    def rows(self, name: str) -> int | None:
        """The first dimension, None where there is no such tensor or it has none."""
        return next(iter(self.shape(name)), None)

    def columns(self, name: str) -> int | None:
        """The second dimension, None where there is none."""
        shape = self.shape(name)
        return shape[1] if len(shape) > 1 else None

    def layers(self, prefix: str) -> int:
        """How many numbered layers follow `prefix`: one more than the highest number."""
        return max(self.layer_numbers(prefix), default=-1) + 1

    def layer_numbers(self, prefix: str) -> set[int]:
        """The numbers that stand behind `prefix` in tensor names."""
        numbers = (
            name[len(prefix) :].partition(".")[0]
            for name in self.tensors
            if name.startswith(prefix)
        )
        return {
            number
            for text in numbers
            if text.isdecimal() and len(text) < 7 and (number := int(text)) < LAYER_LIMIT
        }

    def dtype(self) -> str | None:
        """The dtype of most of the numbers, as a config spells it."""
        sizes: dict[str, int] = {}
        for info in self.tensors.values():
            sizes[info.dtype] = sizes.get(info.dtype, 0) + info.size_bytes
        most = max(sizes, key=lambda dtype: sizes[dtype], default="")
        return DTYPES.get(most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way in which models name their tensors.

    `class_name` is the class that reads it; a layout of `transformers` has a `model_type` among
    its values, another one is loaded by its own class.
    """

    name: str
    title: str
    recognise: Callable[[Evidence], bool]
    values: Callable[[Evidence], Iterable[Value]]
    expected: Callable[[Evidence], Iterable[str]] = lambda _: ()
    class_name: str | None = None


def from_weights(key: str, value: Any, tensor: str, what: str = "") -> Value:
    """A value that the shape of `tensor` determines."""
    told = f"`{tensor}`" + (f", {what}" if what else "")
    return Value(key=key, value=value, origin="weights", reason=told)


def guess(key: str, value: Any, reason: str) -> Value:
    """A value that no file of the directory determines."""
    return Value(key=key, value=value, origin="guess", reason=reason)
