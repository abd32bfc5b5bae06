from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapt.facts import MODERN
from tests.adapt.test_embedding import plan
from trueup.adapt.deviation import (
    RECORD_FILE,
    read_deviation,
    refreshed,
    with_deviation,
    write_deviation,
)
from trueup.adapt.plan import Deviation, Plan
from trueup.adapt.planning import Wishes

MEASURED = Deviation(cosine_min=0.9991, cosine_mean=0.9996, difference_max=0.003, texts=9)
BF16 = Wishes(dtype="bfloat16")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    return tmp_path


def folder_of(made: Plan) -> Path:
    assert made.embedding is not None
    assert made.embedding.artifact is not None
    return Path(made.embedding.artifact)


def caveat_of(made: Plan) -> str:
    (caveat,) = [each for each in made.caveats if each.code == "DEVIATION"]
    return caveat.text


def test_fp32_and_text_models_have_nothing_to_measure(home: Path) -> None:
    fp32 = plan()
    assert with_deviation(fp32, MODERN) == fp32
    text = plan(wishes=Wishes(kind="chat", dtype="bfloat16"))
    assert with_deviation(text, MODERN) == text


def test_before_the_first_load_the_plan_says_when_it_is_measured(home: Path) -> None:
    made = with_deviation(plan(wishes=BF16), MODERN)
    assert folder_of(made).is_relative_to(home)
    assert not folder_of(made).exists()
    assert "measured at the first load" in caveat_of(made)


def test_after_it_every_plan_shows_what_was_measured(home: Path) -> None:
    made = with_deviation(plan(wishes=BF16), MODERN)
    folder_of(made).mkdir(parents=True)
    write_deviation(folder_of(made), MEASURED)
    again = with_deviation(plan(wishes=BF16), MODERN)
    assert again.embedding is not None
    assert again.embedding.deviation == MEASURED
    assert "0.999100 at least and 0.999600 in the mean" in caveat_of(again)
    assert refreshed(made) == again == refreshed(again)
    assert [path.name for path in folder_of(made).iterdir()] == [RECORD_FILE]
    assert Plan.from_dict(json.loads(json.dumps(again.as_dict()))) == again


def test_other_files_dtypes_poolings_and_libraries_are_measured_anew(home: Path) -> None:
    made = plan(wishes=BF16)
    newer = replace(MODERN, packages={**MODERN.packages, "torch": "2.14.0"})
    folders = {
        folder_of(with_deviation(made, MODERN)),
        folder_of(with_deviation(made, newer)),
        folder_of(with_deviation(plan(wishes=Wishes(dtype="float16")), MODERN)),
        folder_of(with_deviation(plan(wishes=replace(BF16, pooling="cls")), MODERN)),
        folder_of(
            with_deviation(replace(made, model=replace(made.model, digest="sha256:1")), MODERN)
        ),
    }
    assert len(folders) == 5


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"cosine_min": 1}', '{"more": 1}', "\udcff"]
)
def test_a_record_that_cannot_be_read_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / RECORD_FILE).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert read_deviation(tmp_path) is None


@pytest.mark.parametrize("value", ['"0.9"', "null", "true", "[]"])
def test_a_record_whose_numbers_are_none_is_none(value: str, tmp_path: Path) -> None:
    numbers = {"cosine_mean": 1.0, "difference_max": 0.0, "texts": 9}
    content = json.dumps(numbers)[:-1] + f', "cosine_min": {value}}}'
    (tmp_path / RECORD_FILE).write_text(content, encoding="utf-8")
    assert read_deviation(tmp_path) is None


def test_a_record_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_deviation(tmp_path / "nowhere", MEASURED)
    write_deviation(tmp_path, MEASURED)
    write_deviation(tmp_path, replace(MEASURED, texts=10))
    found = read_deviation(tmp_path)
    assert found is not None
    assert found.texts == 10
