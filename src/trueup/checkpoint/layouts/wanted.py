"""The tensors that the library's class makes of a config, against those that the files have.

Pure, and only for the classes of `classes.py`: of any other nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint, TensorInfo
from trueup.checkpoint.layouts.classes import CLASSES, Family, Tensor

Shape = tuple[int | None, ...]
CAUSAL_ENDINGS = ("ForCausalLM", "LMHeadModel")
# Tensors that the library computes from the config, or has no more: saved by older releases.
HARMLESS = ("inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", "position_ids")
# BERT's norms as TensorFlow named them, which every release renames.
OLD_ENDINGS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
NUMBERS = ("F32", "F16", "BF16", "F64")
MULTI_QUERY_GROUPS = "multi_query_group_num"
LAYER_LIMIT = 1000
FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A tensor of another shape; `key` is the config's name for what differs."""

    name: str
    wanted: Shape
    found: tuple[int, ...]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What is too few, too many and of another shape, in the order of the model.

    `layers_key` is the config's key for the number of layers, whose names begin with `layers`;
    `missing` and `extra` leave out whole layers too many or too few.
    """

    layers: str
    layers_key: str
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    count: int = 0


@dataclass(slots=True)
class _Wanted:
    """Tensors by full name; None for a dimension that the config does not tell."""

    must: dict[str, tuple[Tensor, Shape]] = field(default_factory=dict)
    may: dict[str, tuple[Tensor, Shape]] = field(default_factory=dict)


def compare(checkpoint: Checkpoint) -> Compared | None:
    """The weights against config.json; None where the class or the files are not known well."""
    family = CLASSES.get(checkpoint.model_type or "")
    tensors = _tensors(checkpoint)
    if family is None or not tensors or _is_other(family, checkpoint.config):
        return None
    base = _base(family, tensors)
    layers = f"{base}{family.layers}"
    present = _layer_numbers(tensors, layers)
    count = _number(checkpoint.config, family.keys["layers"])
    known = set(range(count)) if count is not None and count <= LAYER_LIMIT else present
    wanted = _wanted(family, checkpoint, base, sorted(known & present if present else known))
    everything = {**wanted.must, **wanted.may}
    return Compared(
        layers=layers,
        layers_key=family.keys["layers"],
        missing=tuple(name for name in wanted.must if name not in tensors),
        extra=tuple(
            name
            for name in tensors
            if name not in everything
            and not name.endswith(HARMLESS)
            and _is_judged(name, family, base, checkpoint)
            and ((number := _layer_of(name, layers)) is None or number in known)
        ),
        mismatched=tuple(_mismatches(family, everything, tensors)),
        count=len(wanted.must),
    )


def _tensors(checkpoint: Checkpoint) -> dict[str, TensorInfo]:
    """The tensors by the names that the class has for them; empty where they are of no use."""
    weights = checkpoint.weights
    is_usual = weights.files and all(
        name in FILES or any(f"{each}.index.json" in checkpoint.files for each in FILES)
        for name in weights.files
    )
    broken = {each.path for each in checkpoint.problems} & {
        *weights.files,
        *(f"{name}.index.json" for name in FILES),
    }
    if not is_usual or broken:
        return {}
    if any(info.dtype not in NUMBERS for info in weights.tensors.values()
           if not info.name.endswith(HARMLESS)):  # fmt: skip
        return {}  # packed numbers have shapes of their own
    return {_renamed(name): info for name, info in weights.tensors.items()}


def _renamed(name: str) -> str:
    for old, new in OLD_ENDINGS.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _is_other(family: Family, config: Mapping[str, Any]) -> bool:
    """Whether the config says too little, or the class has tensors with it that are not listed."""
    is_whole = all(_number(config, family.keys[dim]) for dim in ("vocabulary", "hidden", "layers"))
    if not is_whole or config.get("quantization_config"):
        return True
    return any(
        (config.get(key) or None) != (value or None)
        for key, value in family.plain.items()
        if key in config
    )


def _base(family: Family, tensors: Mapping[str, TensorInfo]) -> str:
    """The base's name before tensors, empty where the model was saved without a head."""
    names = [each.name for each in family.outside] + [
        f"{family.layers}0.{each.name}" for each in family.layer
    ]
    with_base = sum(f"{family.base}{name}" in tensors for name in names)
    return family.base if with_base >= sum(name in tensors for name in names) else ""


def _wanted(family: Family, checkpoint: Checkpoint, base: str, layers: list[int]) -> _Wanted:
    config = checkpoint.config
    sizes = _sizes(family, config)
    wanted = _Wanted()

    def add(tensor: Tensor, prefix: str, *, is_needed: bool = True) -> None:
        shape = tuple(sizes.get(dim) for dim in tensor.dims)
        if tensor.only_if is not None:
            stated = config.get(tensor.only_if, tensor.default)
            if stated is False:
                return
            is_needed = is_needed and stated is True
        place = wanted.must if is_needed else wanted.may
        place[f"{prefix}{tensor.name}"] = (tensor, shape)

    for tensor in family.outside:
        add(tensor, base)
    for number in layers:
        for tensor in family.layer:
            add(tensor, f"{base}{family.layers}{number}.")
    tied = config.get("tie_word_embeddings", family.is_tied)
    for tensor in family.head:
        is_free = tied is False or not tensor.name.endswith(".weight")
        add(tensor, "", is_needed=is_free and _generates(family, checkpoint))
    return wanted


def _generates(family: Family, checkpoint: Checkpoint) -> bool:
    """Whether the class with the head that generates text is the one to be loaded."""
    if not family.head or checkpoint.sentence.is_present:
        return False
    names = checkpoint.architectures
    if not names:
        return bool(family.causal) or not checkpoint.auto_map
    return names[0].endswith(CAUSAL_ENDINGS) or names[0] in family.causal


def _is_judged(name: str, family: Family, base: str, checkpoint: Checkpoint) -> bool:
    """Whether a loader looks at the tensor: heads are left out where there is another one."""
    if _generates(family, checkpoint):
        return True
    parts = {each.name.partition(".")[0] for each in family.outside}
    parts.add(family.layers.partition(".")[0])
    return name.startswith(base) and name[len(base) :].partition(".")[0] in parts


def _sizes(family: Family, config: Mapping[str, Any]) -> dict[str, int | None]:
    sizes: dict[str, int | None] = {
        dim: _number(config, key) for dim, key in family.keys.items() if dim != "layers"
    }
    hidden = sizes["hidden"]
    if "queries" in family.keys:
        sizes |= _head_sizes(family, config, hidden)
    elif family.keys["inner"] == "n_inner" and config.get("n_inner") is None and hidden:
        sizes["inner"] = 4 * hidden
    inner = sizes["inner"]
    sizes["two inner"] = 2 * inner if inner else None
    return sizes


def _head_sizes(
    family: Family, config: Mapping[str, Any], hidden: int | None
) -> dict[str, int | None]:
    names = family.keys
    heads, head = _number(config, names["queries"]), _number(config, names["head"])
    if config.get(names["head"]) is None:
        head = family.defaults.get("head")
        if head is None and heads and hidden and hidden % heads == 0:
            head = hidden // heads
    groups_key = names.get("keys", names["packed"])
    groups = _number(config, groups_key)
    is_equal = family.has_one_key_head_a_query or groups_key in config
    if config.get(groups_key) is None and is_equal:
        groups = heads
    if groups_key == MULTI_QUERY_GROUPS and not config.get("multi_query_attention"):
        groups = heads
    queries = heads * head if heads and head else None
    keys = groups * head if groups and head else None
    packed = queries + 2 * keys if queries and keys else None
    return {"head": head, "queries": queries, "keys": keys, "packed": packed}


def _number(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if type(value) is int and 0 < value < 2**40 else None


def _mismatches(
    family: Family,
    wanted: Mapping[str, tuple[Tensor, Shape]],
    tensors: Mapping[str, TensorInfo],
) -> Iterator[Mismatch]:
    for name, (tensor, shape) in wanted.items():
        info = tensors.get(name)
        if info is None:
            continue
        found = info.shape
        if len(found) != len(shape):
            yield Mismatch(name, shape, found, family.keys[tensor.dims[0]])
            continue
        for dim, size, here in zip(tensor.dims, shape, found, strict=True):
            if size not in (None, here):
                yield Mismatch(name, shape, found, family.keys[dim])
                break


def _layer_numbers(tensors: Mapping[str, TensorInfo], layers: str) -> set[int]:
    numbers = (_layer_of(name, layers) for name in tensors)
    return {number for number in numbers if number is not None}


def _layer_of(name: str, layers: str) -> int | None:
    if not name.startswith(layers):
        return None
    text = name[len(layers) :].partition(".")[0]
    return int(text) if text.isdecimal() and len(text) < 7 else None
