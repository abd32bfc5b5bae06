from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.similarity.fake_embedder import FakeEmbedder
from tests.similarity.indexing import module, run
from trueup.similarity import collection, duplicates
from trueup.similarity.collection import Collection, load_collection
from trueup.similarity.duplicates import find_duplicates
from trueup.similarity.index import index_directory, with_store


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    root = tmp_path / "code"
    root.mkdir()
    return root


def loaded(root: Path, *, exact_max: int, monkeypatch: pytest.MonkeyPatch) -> Collection:
    monkeypatch.setattr(collection, "EXACT_TEXTS_MAX", exact_max)
    run(root, FakeEmbedder())
    return with_store(
        lambda store: load_collection(store, 1, "fake@1", index_directory(), lambda _: None),
        pytest.fail,
    )


def graph_files() -> list[Path]:
    return list(index_directory().glob("*.usearch*"))


def test_texts_stand_in_the_order_of_their_first_places(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "b.py").write_text(module(0, 2))
    (root / "a.py").write_text(module(1, 1))
    held = loaded(root, exact_max=100, monkeypatch=monkeypatch)
    assert held.is_exact
    assert [[place.path for place in places] for places in held.places] == [
        ["a.py", "b.py"], ["b.py"],
    ]  # fmt: skip
    assert held.matrix.shape == (2, 256)
    assert graph_files() == []


def test_many_texts_are_searched_by_a_graph_that_finds_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.py").write_text(module(0, 60))
    exact = loaded(root, exact_max=100, monkeypatch=monkeypatch)
    graph = loaded(root, exact_max=10, monkeypatch=monkeypatch)
    assert exact.is_exact
    assert not graph.is_exact
    queries = exact.matrix[[3, 30]]
    for (some, scores), (others, other_scores) in zip(
        exact.nearest(queries, 5), graph.nearest(queries, 5), strict=True
    ):
        assert some[0] == others[0]
        np.testing.assert_allclose(scores, other_scores, atol=1e-6)
    monkeypatch.setattr(duplicates, "NEIGHBOURS", 60)
    found = find_duplicates(graph, min_score=0.5, top=5000)
    assert found == find_duplicates(exact, min_score=0.5, top=5000)
    assert found.pairs


def test_a_saved_graph_is_mended_when_files_change(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.py").write_text(module(0, 30))
    (root / "b.py").write_text(module(50, 3))
    loaded(root, exact_max=10, monkeypatch=monkeypatch)
    (file,) = graph_files()
    before = file.stat().st_mtime_ns
    loaded(root, exact_max=10, monkeypatch=monkeypatch)
    assert file.stat().st_mtime_ns == before  # nothing changed, nothing written
    (root / "b.py").write_text(module(60, 2))
    graph = loaded(root, exact_max=10, monkeypatch=monkeypatch)
    assert len(graph.graph) == 32
    for number, ((first, *_), (score, *_)) in enumerate(graph.nearest(graph.matrix, 1)):
        assert first == number
        assert score == pytest.approx(1.0)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_graph_is_made_anew(
    root: Path, damage: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.py").write_text(module(0, 30))
    loaded(root, exact_max=10, monkeypatch=monkeypatch)
    (file,) = graph_files()
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2] if damage is None else damage)
    graph = loaded(root, exact_max=10, monkeypatch=monkeypatch)
    assert len(graph.graph) == 30
    assert graph_files() == [file]
