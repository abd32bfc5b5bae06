"""What backends were learned not to take: kept, bounded, forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeBackend
from trueup.gateway.lessons import KEEP_SECONDS, MAX_PARAMETERS, NAMESPACE, Lessons
from trueup.state import StateStore


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = StateStore(tmp_path / "s.sqlite")
    yield store
    store.close()


def backend(name: str = "x", model: str | None = "m", version: str | None = "1") -> FakeBackend:
    far = FakeBackend(is_foreign=True, name=name)
    far.model, far.version = model, version
    return far


def test_a_lesson_is_of_one_backend_model_and_version(store: StateStore) -> None:
    Lessons(store).learn(backend(), "seed")
    for lessons in (Lessons(store), Lessons(store)):
        assert lessons.of(backend()) == {"seed"}
        for other in (
            backend(name="y"),
            backend(model=None),
            backend(version=None),
            backend(version="2"),
        ):
            assert lessons.of(other) == frozenset()


def test_lessons_are_listed_with_their_times_and_cleared(store: StateStore) -> None:
    lessons = Lessons(store)
    lessons.learn(backend(), "seed")
    lessons.learn(backend(), "user")
    lessons.learn(backend(name="y"), "seed")
    first = lessons.all()[0]
    assert (first.backend, first.model, first.version, first.parameter) == ("x", "m", "1", "seed")
    assert first.expires_at - first.learned_at == pytest.approx(KEEP_SECONDS, abs=60)
    assert lessons.clear("x") == 2
    assert lessons.of(backend()) == frozenset()
    assert lessons.of(backend(name="y")) == {"seed"}
    assert lessons.clear(None) == 1
    assert lessons.all() == []


def test_lessons_are_forgotten_in_time(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("trueup.gateway.lessons.time.time", lambda: now[0])
    kept = StateStore(store._path, clock=lambda: now[0])
    lessons = Lessons(kept)
    lessons.learn(backend(), "seed")
    now[0] += KEEP_SECONDS - 1
    assert lessons.of(backend()) == Lessons(kept).of(backend()) == {"seed"}
    now[0] += 2
    assert lessons.of(backend()) == Lessons(kept).of(backend()) == frozenset()
    assert lessons.all() == []
    kept.close()


def test_names_that_clients_make_up_do_not_fill_the_store(store: StateStore) -> None:
    lessons = Lessons(store)
    for number in range(MAX_PARAMETERS + 10):
        lessons.learn(backend(), f"odd_{number}")
    lessons.learn(backend(), f"odd_{MAX_PARAMETERS}")
    assert len(lessons.of(backend())) == len(lessons.all()) == MAX_PARAMETERS
    assert "odd_0" not in lessons.of(backend())
    assert Lessons(store).of(backend()) == lessons.of(backend())


@pytest.mark.parametrize("value", [5, None, [], ["x"], ["x", "m", "1", 5, 1.0], {"a": 1}])
def test_what_another_version_kept_is_passed_over(store: StateStore, value: Any) -> None:
    store.put(NAMESPACE, "old", value, ttl_seconds=100)
    lessons = Lessons(store)
    lessons.learn(backend(), "seed")
    assert lessons.of(backend()) == {"seed"}
    assert len(lessons.all()) == 1
    assert lessons.clear("x") == 1
    lessons.clear(None)
    assert store.entries(NAMESPACE) == []


def test_names_that_look_alike_are_kept_apart(store: StateStore) -> None:
    lessons = Lessons(store)
    lessons.learn(backend(name="x", model=None), "seed")
    lessons.learn(backend(name="x", model="None"), "seed")
    assert len(lessons.all()) == 2
