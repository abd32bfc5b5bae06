"""Plans of Kronos directories: the tokenizer, the context, and why one cannot be run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kronos.directories import model_files, tokenizer_files, write
from trueup.adapt.plan import Plan
from trueup.adapt.planning import plan_model
from trueup.adapt.wishes import Wishes


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path / "kronos" / "tokenizer", tokenizer_files())
    return write(tmp_path / "kronos", model_files())


def test_kronos_is_run_by_our_own_class_with_the_tokenizer_beside_it(directory: Path) -> None:
    plan = plan_model(str(directory))
    assert (plan.route, plan.kind, plan.family) == ("native", "forecast", "kronos")
    assert plan.implementation == "trueup.kronos.Kronos"
    assert (plan.dtype, plan.device, plan.context_tokens) == ("float32", "cpu", 512)
    assert plan.forecast is not None
    assert plan.forecast.tokenizer.directory == str(directory / "tokenizer")
    assert plan.memory.weights_bytes > 0
    assert plan.memory.kv_bytes_per_1k_tokens == 1000 * 2 * 8 * 4
    assert [each.code for each in plan.caveats] == ["CONTEXT"]
    assert Plan.from_dict(plan.as_dict()) == plan


def test_a_tokenizer_and_a_context_may_be_asked_for(directory: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", tokenizer_files())
    wishes = Wishes(tokenizer=str(other), context_tokens=64, dtype="bfloat16")
    plan = plan_model(str(directory), wishes)
    assert plan.forecast is not None
    assert plan.forecast.tokenizer.directory == str(other)
    assert (plan.context_tokens, plan.dtype) == (64, "bfloat16")
    assert "CONTEXT" not in [each.code for each in plan.caveats]


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"kind": "chat"}, "forecasts candles, not text"),
        ({"kind": "embedding"}, "forecasts candles, not text"),
        ({"dtype": "float16"}, "float32 or bfloat16, and `float16`"),
        ({"dtype": "int8"}, "int8"),
        ({"tokenizer": "/nowhere/at/all"}, "its tokenizer: the directory `/nowhere/at/all`"),
    ],
)
def test_wishes_that_refuse_it(directory: Path, wishes: dict[str, Any], words: str) -> None:
    plan = plan_model(str(directory), Wishes(**wishes))
    assert plan.route == "refused"
    assert any(words in reason for reason in plan.why), plan.why


def test_a_tokenizer_of_another_model_is_refused(directory: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", tokenizer_files(s1_bits=8, s2_bits=8))
    plan = plan_model(str(directory), Wishes(tokenizer=str(other)))
    assert plan.route == "refused"
    assert "`s1_bits` is 8, and the model's 10" in plan.why[0]


def test_the_two_are_not_taken_for_each_other(directory: Path) -> None:
    alone = plan_model(str(directory / "tokenizer"))
    assert (alone.route, alone.kind) == ("refused", "forecast")
    assert "holds a Kronos tokenizer" in alone.why[0]
    twice = plan_model(str(directory), Wishes(tokenizer=str(directory)))
    assert twice.route == "refused"
    assert "holds a Kronos language model" in twice.why[0]


def test_without_a_tokenizer_the_plan_says_what_to_give(tmp_path: Path) -> None:
    plan = plan_model(str(write(tmp_path / "alone", model_files())))
    assert plan.route == "refused"
    assert "`--tokenizer DIR`" in plan.why[0]


def test_other_models_forecast_nothing() -> None:
    plan = plan_model("demo", Wishes(kind="forecast"))
    assert (plan.route, plan.kind) == ("refused", "forecast")


def test_trueup_load_says_what_loads_it(directory: Path) -> None:
    from trueup.adapt.load import load_plan
    from trueup.errors import AdaptError

    with pytest.raises(AdaptError, match="is no model of transformers"):
        load_plan(plan_model(str(directory)))
