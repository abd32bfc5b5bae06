"""A config.json made anew from what the weights show. Pure; `write_config.py` writes it.

1. The layout of the tensors tells values, and guesses where shapes do not determine them.
2. What config.json says already is kept where the weights do not speak against it.
3. Every guess that ends up in it is marked, in the file itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.layouts import LAYOUTS, evidence_of, layout_of
from trueup.checkpoint.layouts.layout import Layout, Value
from trueup.errors import CheckpointError

# In config.json: the keys whose values nothing in the directory determines.
MARK = "_trueup_guessed"
# Weights that hold other numbers than they seem to do no harm to shapes.
HARMLESS = ("old_layout", "unsafe_pickle")
# Kept as they stand: the stored dtype is not the one to run in, and names are the owner's.
OWNERS = ("torch_dtype", "architectures", "model_type", "tie_word_embeddings", "auto_map")
SHOWN_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """The new config, each of its values, and what it does with the old one.

    `replaced` are old values that the weights contradict, `dropped` old keys that the class does
    not take.
    """

    layout: Layout
    config: Mapping[str, Any]
    values: tuple[Value, ...]
    replaced: Mapping[str, Any]
    dropped: tuple[str, ...]
    is_new: bool

    @property
    def guessed(self) -> tuple[str, ...]:
        """The keys whose values nothing determines."""
        return tuple(value.key for value in self.values if value.origin == "guess")


def rebuild(checkpoint: Checkpoint) -> Rebuilt:
    """The config that the weights of `checkpoint` tell.

    Raises: CheckpointError where they are not whole or of no known layout.
    """
    _refuse_broken(checkpoint)
    evidence = evidence_of(checkpoint)
    layout = layout_of(evidence)
    if layout is None:
        raise _unknown(checkpoint)
    old = {key: value for key, value in checkpoint.config.items() if key != MARK}
    told = tuple(layout.values(evidence))
    known = {value.key for value in told}
    dropped: tuple[str, ...] = ()
    if layout.class_name is not None:
        dropped = tuple(key for key in old if key not in known)
    replaced: dict[str, Any] = {}
    values: list[Value] = []
    marked = checkpoint.config.get(MARK)
    still_guessed = set(marked) if isinstance(marked, list) else set()
    for value in told:
        values.append(_merged(value, old, replaced, still_guessed))
    kept = [
        Value(key=key, value=value, origin="kept", reason="as config.json had it")
        for key, value in old.items()
        if key not in known and key not in dropped
    ]
    values += kept
    config = {value.key: value.value for value in values}
    guessed = [value.key for value in values if value.origin == "guess"]
    if guessed:
        config[MARK] = guessed
    return Rebuilt(
        layout=layout,
        config=config,
        values=tuple(values),
        replaced=replaced,
        dropped=dropped,
        is_new=config != dict(checkpoint.config),
    )


def _merged(
    value: Value, old: Mapping[str, Any], replaced: dict[str, Any], still_guessed: set[Any]
) -> Value:
    if value.key not in old:
        return value
    is_same = old[value.key] == value.value
    if is_same and (value.origin != "guess" or value.key in still_guessed):
        return value
    decides = value.origin == "weights" and value.key not in OWNERS
    if not is_same and decides:
        replaced[value.key] = old[value.key]
        return value
    return replace(value, value=old[value.key], origin="kept", reason="as config.json had it")


def _refuse_broken(checkpoint: Checkpoint) -> None:
    names = {
        *checkpoint.weights.files,
        *(f"{name}.index.json" for name in checkpoint.weights.files),
    }
    names |= {"model.safetensors.index.json", "pytorch_model.bin.index.json"}
    problem = next(
        (each for each in checkpoint.problems if each.path in names and each.kind not in HARMLESS),
        None,
    )
    if problem is not None:
        raise CheckpointError(
            f"the weights are not whole, so they cannot tell the config: `{problem.path}`: "
            f"{problem.detail}",
            where=str(checkpoint.directory),
            hint=f"copy `{problem.path}` again from where it came from",
        )


def _unknown(checkpoint: Checkpoint) -> CheckpointError:
    tensors = checkpoint.weights.tensors
    known = ", ".join(layout.title for layout in LAYOUTS)
    if not tensors:
        cause = "the names of the tensors cannot be read without unpickling, or there are none"
    else:
        shown = ", ".join(f"`{name[:80]}`" for name in list(tensors)[:SHOWN_NAMES])
        cause = f"nothing here knows how models with such tensors are configured: {shown}, …"
    return CheckpointError(
        f"{cause}; known are: {known}",
        where=str(checkpoint.directory),
        hint="copy config.json from where the weights came from",
    )
