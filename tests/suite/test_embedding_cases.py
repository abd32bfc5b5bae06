from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from examples.code_pairs.suite_pairs import chosen_lines
from tests.suite.fake_service import FakeService
from trueup.errors import ConfigError
from trueup.suite import embedding_cases
from trueup.suite.criteria import Criteria
from trueup.suite.embedding_cases import PAIRS, embeds, is_stable, tells_apart


async def test_an_embedding_is_timed_over_several_requests() -> None:
    service = FakeService()
    verdict = await embeds(service, "m", Criteria())
    assert verdict.problem is None
    assert verdict.notes == ("2 dimensions",)
    assert len(service.asked) == 3
    late = await embeds(service, "m", Criteria(embedding_seconds=1e-9))
    assert late.problem is not None
    assert late.problem.cause.endswith("expected 1e-09 s or less")


async def test_the_same_vector_every_time_is_stable_bit_for_bit() -> None:
    verdict = await is_stable(FakeService(), "m")
    assert verdict.problem is None
    assert verdict.notes == ("repeated vectors are the same bit for bit",)
    assert [each.value for each in verdict.figures] == [1.0, 1.0]


async def test_a_difference_in_the_last_bits_is_stable_and_told() -> None:
    service = FakeService(vector=lambda text, call: (1.0, 1.0 + call * 1e-6))
    verdict = await is_stable(service, "m")
    assert verdict.problem is None
    assert verdict.notes == ("repeated vectors are not the same bit for bit",)


async def test_vectors_that_wander_are_not_stable() -> None:
    service = FakeService(vector=lambda text, call: (1.0, float(call)))
    verdict = await is_stable(service, "m")
    assert verdict.problem is not None
    assert "repeated, least cosine 0.447" in verdict.problem.cause
    nothing = await is_stable(FakeService(vector=lambda text, call: (0.0, 0.0)), "m")
    assert nothing.problem is not None
    assert nothing.problem.cause.startswith("the vector is all zeros")


async def test_a_vector_that_depends_on_its_neighbours_is_not_stable() -> None:
    # The fourth request is the one with other texts beside.
    service = FakeService(vector=lambda text, call: (1.0, 5.0 if call == 3 else 0.0))
    verdict = await is_stable(service, "m")
    assert verdict.problem is not None
    assert "beside others, cosine 0.196" in verdict.problem.cause
    assert "repeated" not in verdict.problem.cause


def labels() -> dict[str, float]:
    """For every text a number that only texts which belong together share."""
    groups: dict[str, float] = {}
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["label"]:
            code = row["left"]["code"]
            group = groups.setdefault(code, float(len(groups) + 1))
            groups[row["right"]["code"]] = group
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for side in ("left", "right"):
            groups.setdefault(row[side]["code"], float(len(groups) + 1))
    return groups


async def test_a_model_that_knows_what_is_alike_reaches_the_accuracy() -> None:
    known = labels()
    names = sorted(set(known.values()))

    def vector(text: str, call: int) -> list[float]:
        return [1.0 if each == known[text] else 0.01 for each in names]

    service = FakeService(vector=vector)
    verdict = await tells_apart(service, "m", Criteria())
    assert verdict.problem is None
    assert verdict.figures[0].value > 0.9
    assert "80 pairs" in verdict.notes[0]


async def test_a_model_that_tells_nothing_fails_with_its_share() -> None:
    service = FakeService(vector=lambda text, call: (1.0, float(len(text) % 7)))
    verdict = await tells_apart(service, "m", Criteria(), source="./m")
    assert verdict.problem is not None
    assert "of 80 pairs are told rightly as alike or not, expected 85%" in verdict.problem.cause
    assert verdict.problem.hint is not None
    assert verdict.problem.hint.endswith("--model ./m")


async def test_pairs_of_the_users_own_are_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        await tells_apart(FakeService(), "m", Criteria(pairs=tmp_path / "none.jsonl"))


async def test_without_its_packages_the_similarity_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    verdict = await tells_apart(FakeService(), "m", Criteria())
    assert verdict.unable is not None
    assert verdict.unable.hint == "pip install 'trueup[similar]'"


async def test_a_request_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_cases, "EMBEDDING_PATIENCE_SECONDS", 0.0)

    class Silent(FakeService):
        async def embed(self, model: str, texts: object) -> list[bytes]:
            import asyncio

            await asyncio.Event().wait()
            return []

    verdict = await embeds(Silent(), "m", Criteria())
    assert verdict.problem is not None
    assert verdict.problem.cause.startswith("no embedding within 0 s")


def test_the_pairs_that_are_shipped_are_those_of_the_example() -> None:
    assert PAIRS.read_text(encoding="utf-8").splitlines() == chosen_lines()
