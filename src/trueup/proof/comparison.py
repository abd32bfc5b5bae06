"""How far one side's answers are from the other's, and what that means. Pure.

In fp32 the bar is a number. In bf16 and fp16 no number fits every model, so the yardstick is the
reference itself: how far its own answers in that dtype are from its answers in fp32
(docs/proof.md has the measurements).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trueup.proof.answers_file import Answers
from trueup.proof.questions import CONVERSATIONS, GREEDY, SENTENCES, SERVED

FP32_BAR = 1e-4
# Of the reference's own rounding: two correct implementations differ by less than that.
MEAN_FACTOR, MAXIMUM_FACTOR = 2.0, 3.0
LAYER = "layers/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One case: differences of logits and whether the same tokens come first.

    Greedy steps count as long as both sides continue the same text. `first_different` is the row,
    the step and both tokens. `argmax_agreement` is a share of positions.
    """

    case: str
    maximum: float
    mean: float
    argmax_agreement: float
    positions: int
    first_different: dict[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return asdict(self)


def figures(reference: Answers, other: Answers) -> tuple[Figures, ...]:
    """Each case of `reference`; one that `other` lacks is infinitely far."""
    return tuple(_figures(case, reference, other) for case in reference.cases())


def as_served(reference: Answers) -> Answers:
    """With the greedy answer once more, for what the engine that serves makes of it."""
    again = {
        f"{SERVED}/{name}": reference.arrays[f"{GREEDY}/{name}"] for name in ("logits", "tokens")
    }
    return Answers(arrays={**reference.arrays, **again}, facts=reference.facts)


def _figures(case: str, reference: Answers, other: Answers) -> Figures:
    left = reference.arrays[f"{case}/logits"]
    right = other.arrays.get(f"{case}/logits")
    if right is None or right.shape != left.shape:
        return _infinite(case, len(left))
    kept, first = _same_text(case, reference, other)
    left, right = left[kept], right[kept]
    difference = np.abs(left.astype(np.float64) - right)
    if not np.isfinite(difference).all():
        return _infinite(case, len(left), first)
    return Figures(
        case=case,
        maximum=float(difference.max()),
        mean=float(difference.mean()),
        argmax_agreement=float((left.argmax(-1) == right.argmax(-1)).mean()),
        positions=len(left),
        first_different=first,
    )


def _infinite(case: str, positions: int, first: dict[str, int] | None = None) -> Figures:
    inf = float("inf")
    return Figures(
        case=case,
        maximum=inf,
        mean=inf,
        argmax_agreement=0.0,
        positions=positions,
        first_different=first,
    )


def _same_text(
    case: str, reference: Answers, other: Answers
) -> tuple[npt.NDArray[np.bool_], dict[str, int] | None]:
    """Which rows of the logits continue the same text, and where tokens differ first."""
    count = len(reference.arrays[f"{case}/logits"])
    name = f"{case}/tokens"
    if name not in reference.arrays:
        return np.ones(count, dtype=bool), None
    differs = reference.arrays[name] != other.arrays[name]  # [rows, steps]
    rows, steps = differs.shape
    # The step that chooses another token still saw the same text.
    before = np.cumsum(differs, axis=1) - differs
    kept = (before == 0).T.reshape(steps * rows)
    if not differs.any():
        return kept, None
    step, row = (int(each[0]) for each in np.nonzero(differs.T))
    return kept, {
        "row": row,
        "step": step,
        "reference": int(reference.arrays[name][row, step]),
        "planned": int(other.arrays[name][row, step]),
    }


def against_fp32(cases: tuple[Figures, ...]) -> list[str]:
    """Why the fp32 answers of the plan are not the reference's; nothing where they are."""
    reasons = []
    for each in cases:
        if not each.maximum <= FP32_BAR:
            reasons.append(
                f"{each.case}: logits differ by {each.maximum:.1e} in fp32, the bar is "
                f"{FP32_BAR:.0e}{_first_words(each)}"
            )
        elif each.first_different is not None:
            reasons.append(f"{each.case}: the greedy answers differ{_first_words(each)}")
    return reasons


def against_lost_cache(reference: Answers, planned: Answers) -> list[str]:
    """Where the plan reads more to make the same: right, and slower with every token."""
    reasons = []
    for case in reference.cases():
        both = [each.arrays.get(f"{case}/read") for each in (reference, planned)]
        if both[0] is None or both[1] is None or both[1].sum() <= both[0].sum():
            continue
        reasons.append(
            f"{case}: its cache is lost, {int(both[1].sum())} positions were read where the "
            f"reference reads {int(both[0].sum())}"
        )
    return reasons


def against_rounding(
    dtype: str, planned: tuple[Figures, ...], own: tuple[Figures, ...]
) -> list[str]:
    """Where the plan's answers in `dtype` are further from fp32 than rounding explains.

    `planned` and `own` are the plan's and the reference's answers in `dtype`, both against the
    reference in fp32, case by case.
    """
    reasons = []
    for found, allowed in zip(planned, own, strict=True):
        for what, figure, factor, usual in (
            ("in the mean", found.mean, MEAN_FACTOR, allowed.mean),
            ("at most", found.maximum, MAXIMUM_FACTOR, allowed.maximum),
        ):
            bar = factor * usual + FP32_BAR
            # Of what is not finite nothing is near: a bar that is infinite is none.
            if not figure <= bar or not np.isfinite(bar):
                reasons.append(
                    f"{found.case}: in {dtype} logits are {figure:.1e} from fp32 {what}, the bar "
                    f"is {bar:.1e}: {factor:g} times what the reference's own rounding costs"
                )
    return reasons


def _first_words(each: Figures) -> str:
    if each.first_different is None:
        return ""
    first = each.first_different
    return (
        f"; the first differing token is number {first['step'] + 1} (`{first['planned']}`, "
        f"expected `{first['reference']}`)"
    )


def against_tokens(reference: Answers, planned: Answers) -> list[str]:
    """Where the tokenizers differ, in texts or in how a conversation is written down."""
    reasons = []
    left, right = reference.facts["tokens"], planned.facts["tokens"]
    for kind, asked in (("texts", SENTENCES), ("chats", CONVERSATIONS)):
        for at, (expected, found) in enumerate(zip(left[kind], right[kind], strict=False)):
            if expected is None or found is None or expected == found:
                continue
            position = _first_difference(expected, found)
            what = f"the text {asked[at]!r}" if kind == "texts" else f"conversation {at + 1}"
            reasons.append(
                f"tokenizer: {what} becomes other tokens from number {position + 1} on: "
                f"`{_from(found, position)}`, expected `{_from(expected, position)}`"
            )
            break
    return reasons


def against_chats(reference: Answers, planned: Answers) -> list[str]:
    """Conversations that the reference writes and the plan does not."""
    left, right = reference.facts["tokens"]["chats"], planned.facts["tokens"]["chats"]
    return [
        f"conversation {at + 1} is not written{_fault(planned, at)}; the reference writes it"
        for at, (expected, found) in enumerate(zip(left, right, strict=False))
        if expected is not None and found is None
    ]


def _fault(answers: Answers, at: int) -> str:
    faults = answers.facts["tokens"].get("chat_faults", ())
    return f": {faults[at]}" if at < len(faults) and faults[at] else ""


def _uncompared_chats(reference: Answers, planned: Answers) -> list[str]:
    """Conversations that the reference does not write, where either side knows of chats."""
    left, right = reference.facts["tokens"]["chats"], planned.facts["tokens"]["chats"]
    return [
        f"conversation {at + 1} (the reference does not write it{_fault(reference, at)})"
        for at, (expected, found) in enumerate(zip(left, right, strict=False))
        if expected is None and (found is not None or _fault(reference, at))
    ]


def compared_tokens(reference: Answers, planned: Answers) -> dict[str, Any]:
    """How many texts and conversations both sides wrote as token ids; `not_compared` in words."""
    left, right = reference.facts["tokens"], planned.facts["tokens"]
    counts = {
        kind: sum(None not in pair for pair in zip(left[kind], right[kind], strict=False))
        for kind in ("texts", "chats")
    }
    return {**counts, "not_compared": _uncompared_chats(reference, planned)}


def against_eps(reference: Answers, planned: Answers) -> list[str]:
    """Where normalisations have another eps.

    Of an encoder's hidden states, which its last one brings back to one size, a wrong eps moves
    less than the bar; both sides are the same class there.
    """
    both = [each.facts.get("inspection", {}).get("eps") for each in (reference, planned)]
    if None in both or both[0] == both[1]:
        return []
    expected, found = (", ".join(f"{eps:g}" for eps in each or ()) for each in both)
    return [f"the eps of its normalisations is {found}, expected {expected}"]


def _first_difference(left: list[int], right: list[int]) -> int:
    pairs = zip(left, right, strict=False)
    return next(
        (at for at, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right))
    )


def _from(ids: list[int], position: int) -> str:
    shown = [str(each) for each in ids[position : position + 3]]
    return ", ".join(shown) or "the end"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFigures:
    """One layer's output: the largest difference, as a share of the reference's own scale."""

    layer: int
    relative: float


def layer_figures(reference: Answers, planned: Answers) -> tuple[LayerFigures, ...]:
    """Every layer of the reference, in order; none where no layers were kept."""
    names = sorted(name for name in reference.arrays if name.startswith(LAYER))
    if not any(name.startswith(LAYER) for name in planned.arrays):
        return ()  # loaded whole, and asked for its answers alone
    found = []
    for at, name in enumerate(names):
        left, right = reference.arrays[name], planned.arrays.get(name)
        relative = float("inf")
        if right is not None and right.shape == left.shape:
            scale = float(np.sqrt(np.mean(np.square(left.astype(np.float64)))))
            relative = float(np.abs(left.astype(np.float64) - right).max()) / max(scale, 1e-30)
            relative = relative if np.isfinite(relative) else float("inf")
        found.append(LayerFigures(layer=at, relative=relative))
    return tuple(found)


def against_layers(layers: tuple[LayerFigures, ...]) -> list[str]:
    """The first layer whose output is another one."""
    first = next((each for each in layers if not each.relative <= FP32_BAR), None)
    if first is None:
        return []
    return [
        f"layer {first.layer}: its output differs by {first.relative:.1e} of its scale, the bar "
        f"is {FP32_BAR:.0e}"
    ]
