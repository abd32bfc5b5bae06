"""Figures and bars, from arrays made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trueup.proof import comparison
from trueup.proof.answers_file import Answers

PROMPT, STEPS = "prompt-5", 4


def answers(**arrays: np.ndarray) -> Answers:
    return Answers(
        arrays={name.replace("__", "/"): each for name, each in arrays.items()}, facts={}
    )


def logits(rows: int = 3) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, 8)).astype(np.float32)


def test_equal_answers_are_within_every_bar() -> None:
    one = answers(prompt__logits=logits())

    (found,) = comparison.figures(one, one)

    assert (found.maximum, found.mean, found.argmax_agreement) == (0.0, 0.0, 1.0)
    assert comparison.against_fp32((found,)) == []


@pytest.mark.parametrize(("difference", "is_found"), [(0.9e-4, False), (1.2e-4, True)])
def test_the_bar_in_fp32_is_a_number(difference: float, is_found: bool) -> None:
    other = logits()
    other[1, 2] += difference

    found = comparison.figures(answers(prompt__logits=logits()), answers(prompt__logits=other))

    assert bool(comparison.against_fp32(found)) is is_found


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_infinitely_far(value: float) -> None:
    other = logits()
    other[0, 0] = value

    found = comparison.figures(answers(prompt__logits=logits()), answers(prompt__logits=other))

    assert "inf" in comparison.against_fp32(found)[0]


def test_an_answer_that_is_missing_is_infinitely_far() -> None:
    found = comparison.figures(answers(prompt__logits=logits()), answers())

    assert comparison.against_fp32(found)


def greedy(tokens: list[list[int]], values: np.ndarray) -> Answers:
    return answers(greedy__tokens=np.array(tokens), greedy__logits=values)


def test_steps_after_another_token_are_not_compared() -> None:
    left, right = logits(4), logits(4)
    right[3] += 5  # the step after the texts parted

    (found,) = comparison.figures(greedy([[1, 2, 3, 4]], left), greedy([[1, 2, 7, 9]], right))

    assert found.maximum == 0.0
    assert found.positions == 3
    assert found.first_different == {"row": 0, "step": 2, "reference": 3, "planned": 7}
    assert "number 3 (`7`, expected `3`)" in comparison.against_fp32((found,))[0]


def test_rows_of_a_batch_part_on_their_own() -> None:
    left, right = logits(4), logits(4)
    right[2] += 5  # row 0 of step 1: its texts parted at step 0
    right[3] += 2e-4  # row 1 of step 1: still the same text

    (found,) = comparison.figures(greedy([[1, 2], [3, 4]], left), greedy([[9, 2], [3, 4]], right))

    assert found.maximum == pytest.approx(2e-4, rel=0.01)


def test_rounding_is_measured_with_the_reference_s_own() -> None:
    exact = answers(prompt__logits=logits())
    own = answers(prompt__logits=logits() + np.float32(0.01))
    bars = comparison.figures(exact, own)

    def reasons(offset: float) -> list[str]:
        planned = answers(prompt__logits=logits() + np.float32(offset))
        return comparison.against_rounding("bfloat16", comparison.figures(exact, planned), bars)

    assert reasons(0.019) == []
    assert "in the mean" in reasons(0.025)[0]
    assert len(reasons(0.05)) == 2


def test_where_the_reference_is_not_finite_no_bar_is_wide_enough() -> None:
    exact, odd = answers(prompt__logits=logits()), answers(prompt__logits=logits() + np.inf)
    both = comparison.figures(exact, odd)

    assert len(comparison.against_rounding("float16", both, both)) == 2


def tokens(texts: list[list[int]], chats: list[list[int] | None]) -> Answers:
    return Answers(arrays={}, facts={"tokens": {"texts": texts, "chats": chats}})


def test_another_tokenizer_is_told_with_the_first_token_that_differs() -> None:
    reasons = comparison.against_tokens(
        tokens([[1, 2, 3]], [[5, 6], [7]]), tokens([[1, 9, 3]], [[5, 6], [7, 8]])
    )

    assert "from number 2 on: `9, 3`, expected `2, 3`" in reasons[0]
    assert (
        "conversation 2 becomes other tokens from number 2 on: `8`, expected `the end`"
        in (reasons[1])
    )


def test_a_conversation_that_one_side_cannot_write_is_not_compared() -> None:
    assert comparison.against_tokens(tokens([], [None]), tokens([], [[1]])) == []


def test_a_conversation_that_one_side_cannot_write_is_told() -> None:
    written, unwritten = tokens([], [[1]]), tokens([], [None])
    unwritten.facts["tokens"]["chat_faults"] = ["its `chat` raises KeyError: 'a'"]
    what = "its `chat` raises KeyError: 'a'"

    (reason,) = comparison.against_chats(written, unwritten)
    told = comparison.compared_tokens(unwritten, written)

    assert reason == f"conversation 1 is not written: {what}; the reference writes it"
    assert comparison.against_chats(unwritten, written) == []
    assert told["not_compared"] == [f"conversation 1 (the reference does not write it: {what})"]
    assert comparison.compared_tokens(tokens([], [None]), tokens([], [None]))["not_compared"] == []


def test_the_first_layer_that_differs_is_named() -> None:
    left = answers(layers__000=logits(), layers__001=logits(), layers__002=logits())
    right = answers(layers__000=logits(), layers__001=2 * logits(), layers__002=3 * logits())

    (reason,) = comparison.against_layers(comparison.layer_figures(left, right))

    assert reason.startswith("layer 1:")
