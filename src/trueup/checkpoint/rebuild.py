"""A config.json made anew from what the weights show. Pure; `write_config.py` writes it.

1. The layout of the tensors tells values, and guesses where shapes do not determine them.
2. What config.json says already is kept where the weights do not speak against it.
3. Every guess that ends up in it is marked, in the file itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.heads import refuted, with_heads_of
from trueup.checkpoint.layouts import LAYOUTS, evidence_of, layout_of
from trueup.checkpoint.layouts.layout import Layout, Value
from trueup.errors import CheckpointError

# In config.json: the keys whose values nothing in the directory determines.
MARK = "_trueup_guessed"
# Weights that hold other numbers than they seem to do no harm to shapes.
HARMLESS = ("old_layout", "unsafe_pickle")
# Kept as they stand: the stored dtype is not the one to run in, and names are the owner's.
OWNERS = ("torch_dtype", "architectures", "model_type", "tie_word_embeddings", "auto_map")
# What transformers 5 writes in another key, or within one.
SAID_IN = {"rope_theta": "rope_parameters", "partial_rotary_factor": "rope_parameters"}
SAID_AS = {"torch_dtype": "dtype"}
# What every class has where its config says nothing.
USUAL: Mapping[str, tuple[Any, ...]] = {
    "id2label": ({"0": "LABEL_0", "1": "LABEL_1"},),
    "label2id": ({"LABEL_0": 0, "LABEL_1": 1},),
}
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
    values_of = tuple(layout.values(evidence))
    replaced = refuted(old, {value.key: value for value in values_of})
    old = {key: value for key, value in old.items() if key not in replaced}
    told = tuple(_known_better(values_of, old))
    known = {value.key for value in told}
    dropped: tuple[str, ...] = ()
    if layout.class_name is not None:
        dropped = tuple(key for key in old if key not in known)
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
        is_new=config != dict(checkpoint.config) or _is_damaged(checkpoint),
    )


def _is_damaged(checkpoint: Checkpoint) -> bool:
    """Whether the file is not as its values are, as where a byte order mark stands before them."""
    return any(each.path == "config.json" and not each.key for each in checkpoint.problems)


def _known_better(told: tuple[Value, ...], old: Mapping[str, Any]) -> Iterator[Value]:
    """The values, without those that the old config makes needless, and fitting its heads."""
    by_key = {value.key: value for value in told}
    model_type = by_key.get("model_type")
    is_other = model_type is not None and old.get("model_type") not in (None, model_type.value)
    for value in with_heads_of(old, by_key):
        # Of another class's setting it is not even known that there is one.
        is_odd = is_other and (value.origin == "guess" or value.value is False)
        is_usual = bool(old) and value.value in USUAL.get(value.key, ())
        if value.key in old or not (is_odd or is_usual or _is_said(value.key, old)):
            yield value


def _is_said(key: str, old: Mapping[str, Any]) -> bool:
    """Whether the old config says the value in the words of a newer transformers."""
    if key in old:
        return False
    inner = old.get(SAID_IN.get(key, ""))
    parts = [inner, *inner.values()] if isinstance(inner, dict) else []
    return SAID_AS.get(key) in old or any(isinstance(each, dict) and key in each for each in parts)


def _merged(
    value: Value, old: Mapping[str, Any], replaced: dict[str, Any], still_guessed: set[Any]
) -> Value:
    if value.key not in old:
        return value
    is_same = old[value.key] == value.value or _is_meant(value, old)
    if (
        is_same
        and old[value.key] is not None
        and (value.origin != "guess" or value.key in still_guessed)
    ):
        return value
    decides = value.origin == "weights" and value.key not in OWNERS
    if not is_same and decides:
        replaced[value.key] = old[value.key]
        return value
    return replace(value, value=old[value.key], origin="kept", reason="as config.json had it")


def _is_meant(value: Value, old: Mapping[str, Any]) -> bool:
    """Whether a null says the value: GPT-J's inner width is then four times the outer."""
    width = old.get("n_embd")
    is_null = value.key == "n_inner" and old[value.key] is None
    return is_null and isinstance(width, int) and value.value == 4 * width


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
