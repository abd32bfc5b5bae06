from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.similarity.fake_embedder import FakeEmbedder
from tests.similarity.indexing import Run, function, module, run
from trueup.errors import BackendError, ConfigError
from trueup.similarity import index, store
from trueup.similarity.database import FILE_NAME, open_database
from trueup.similarity.index import BATCH_TEXTS, index_directory, with_store
from trueup.similarity.snippet import digest_of
from trueup.similarity.store import DAY_SECONDS, Store

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    root.mkdir()
    return root


def counts(done: Run) -> tuple[int, int]:
    return done.embedded.new, done.embedded.reused


def database() -> Path:
    return index_directory() / FILE_NAME


def test_of_two_thousand_functions_only_those_of_the_changed_file_are_embedded_again(
    root: Path,
) -> None:
    for number in range(100):
        (root / f"part_{number}.py").write_text(module(20 * number, 20))
    first = FakeEmbedder()
    assert counts(run(root, first)) == (2000, 0)
    assert len(first.texts) == len(set(first.texts)) == 2000
    assert max(map(len, first.calls)) == BATCH_TEXTS

    changed = module(20 * 7, 20).replace("total = first * 145", "total = first - 145")
    changed = changed.replace("total = first * 150", "total = first / 150")
    (root / "part_7.py").write_text(changed)
    second = FakeEmbedder()
    done = run(root, second)
    assert counts(done) == (2, 1998)
    assert [text.partition("(")[0] for text in second.texts] == [
        "def compute_145", "def compute_150",
    ]  # fmt: skip
    assert (done.scan.file_count, done.scan.changed_count) == (100, 1)

    third = FakeEmbedder()
    assert counts(run(root, third)) == (0, 2000)
    assert third.calls == []


def test_moving_renaming_and_reindenting_cost_no_embedding(root: Path) -> None:
    (root / "a.py").write_text(module(0, 3))
    run(root, FakeEmbedder())
    (root / "a.py").rename(root / "b.py")
    text = "# moved down\n\nif True:\n" + "".join(
        f"    {line}\n" if line else "\n" for line in module(0, 3).splitlines()
    )
    (root / "b.py").write_text(text.replace("\n", "\r\n"))
    again = FakeEmbedder()
    done = run(root, again)
    assert counts(done) == (0, 3)
    assert {(place.path, place.first_line) for place, _ in done.places} == {
        ("b.py", 4), ("b.py", 11), ("b.py", 18),
    }  # fmt: skip


def test_files_that_are_gone_leave_and_come_back_for_nothing(root: Path) -> None:
    (root / "a.py").write_text(module(0, 2))
    (root / "b.py").write_text(module(5, 2))
    run(root, FakeEmbedder())
    (root / "b.py").unlink()
    assert {place.path for place, _ in run(root, FakeEmbedder()).places} == {"a.py"}
    (root / "b.py").write_text(module(5, 2))
    assert counts(run(root, FakeEmbedder())) == (0, 4)


def test_a_file_that_becomes_ignored_or_binary_leaves(root: Path) -> None:
    (root / "a.py").write_text(module(0, 2))
    (root / "b.py").write_text(module(5, 2))
    run(root, FakeEmbedder())
    (root / ".gitignore").write_text("a.py\n")
    (root / "b.py").write_bytes(b"\0binary")
    done = run(root, FakeEmbedder())
    assert done.places == []
    assert [note.cause for note in done.scan.notes if note.path == "b.py"] == [
        "is a binary file: left out"
    ]


def test_a_text_that_is_there_twice_is_embedded_once(root: Path) -> None:
    (root / "a.py").write_text(function("same", 1))
    (root / "b.py").write_text(function("same", 1))
    done = run(root, FakeEmbedder())
    assert counts(done) == (1, 0)
    assert len(done.places) == 2


def test_vectors_of_different_embedders_never_mix(root: Path) -> None:
    (root / "a.py").write_text(module(0, 3))
    run(root, FakeEmbedder("one@1"))
    other = FakeEmbedder("one@2", dimensions=64)
    assert counts(run(root, other)) == (3, 0)
    assert counts(run(root, FakeEmbedder("one@1"))) == (0, 3)

    def lengths(store: Store) -> list[int]:
        digests = [digest for _, digest in store.places(1)]
        return [
            store.vectors(store.model(name), digests)[0].shape[1] for name in ("one@1", "one@2")
        ]

    assert with_store(lengths, pytest.fail) == [256, 64]


def test_notes_of_files_that_did_not_change_are_told_again(root: Path) -> None:
    (root / "a.py").write_text(module(0, 1) + "\n)))\n")
    for _ in range(2):
        done = run(root, FakeEmbedder())
        assert ["does not parse" in note.cause for note in done.scan.notes] == [True]


def test_a_killed_run_goes_on_where_it_was(root: Path) -> None:
    (root / "a.py").write_text(module(0, 5 * BATCH_TEXTS))
    killed = subprocess.run(
        [sys.executable, "-m", "tests.similarity.killed_indexer", str(root), "2"],
        cwd=REPOSITORY,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    embedder = FakeEmbedder()
    assert counts(run(root, embedder)) == (3 * BATCH_TEXTS, 2 * BATCH_TEXTS)
    assert len(embedder.texts) == 3 * BATCH_TEXTS


def test_what_was_embedded_before_a_failure_is_kept(root: Path) -> None:
    (root / "a.py").write_text(module(0, 4 * BATCH_TEXTS))

    class Failing(FakeEmbedder):
        async def embed(self, texts: Sequence[str]) -> np.ndarray:
            if len(self.calls) == 3:
                raise BackendError("the server went away", retryable=True)
            return await super().embed(texts)

    with pytest.raises(BackendError, match="went away"):
        run(root, Failing())
    new, reused = counts(run(root, FakeEmbedder()))
    assert new + reused == 4 * BATCH_TEXTS
    assert reused >= BATCH_TEXTS


def test_several_failures_at_once_are_one_error(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "a.py").write_text(module(0, 4 * BATCH_TEXTS))

    class Failing(FakeEmbedder):
        async def embed(self, texts: Sequence[str]) -> np.ndarray:
            raise BackendError("the server went away", retryable=True)

    with pytest.raises(BackendError, match="went away"):
        run(root, Failing())
    gc.collect()
    assert caplog.records == []  # no failure that nobody asked for


def test_a_few_batches_are_asked_for_at_a_time(root: Path) -> None:
    (root / "a.py").write_text(module(0, 12 * BATCH_TEXTS))
    running = most = 0

    class Slow(FakeEmbedder):
        async def embed(self, texts: Sequence[str]) -> np.ndarray:
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(5):
                await asyncio.sleep(0)
            running -= 1
            return await super().embed(texts)

    run(root, Slow())
    assert most == index.BATCHES_IN_FLIGHT


def test_long_texts_come_in_smaller_batches(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BATCH_CHARACTERS", 500)
    (root / "a.py").write_text(module(0, 10))
    embedder = FakeEmbedder()
    run(root, embedder)
    assert max(map(len, embedder.calls)) == 3
    assert len(embedder.texts) == 10


@pytest.mark.parametrize("broken", [np.nan, np.inf, 0.0])
def test_a_model_that_gives_nonsense_is_told_and_nothing_of_it_is_kept(
    root: Path, broken: float
) -> None:
    (root / "a.py").write_text(module(0, 3))

    class Broken(FakeEmbedder):
        async def embed(self, texts: Sequence[str]) -> np.ndarray:
            vectors = await super().embed(texts)
            vectors[1] = broken
            return vectors

    with pytest.raises(BackendError, match="for 1 of 3 texts"):
        run(root, Broken())
    assert counts(run(root, FakeEmbedder())) == (3, 0)


def test_vectors_of_the_wrong_shape_are_told(root: Path) -> None:
    (root / "a.py").write_text(module(0, 3))

    class Short(FakeEmbedder):
        async def embed(self, texts: Sequence[str]) -> np.ndarray:
            return (await super().embed(texts))[:-1]

    with pytest.raises(BackendError, match=r"shape \[2, 256\], expected 3 rows"):
        run(root, Short())
    run(root, FakeEmbedder())
    (root / "b.py").write_text(module(9, 1))
    with pytest.raises(BackendError, match="expected 1 rows of 256"):
        run(root, FakeEmbedder(dimensions=64))


@pytest.mark.parametrize("place", ["head", "everywhere", "a vector", "a text"])
def test_a_damaged_index_is_told_and_made_anew(root: Path, place: str) -> None:
    (root / "a.py").write_text(module(0, 50))
    run(root, FakeEmbedder())
    data = bytearray(database().read_bytes())
    if place == "head":
        data[:100] = b"x" * 100
    elif place == "everywhere":
        data[4096:] = b"\x5a" * (len(data) - 4096)
    database().write_bytes(data)
    if place == "a vector":
        with contextlib.closing(sqlite3.connect(database())) as connection, connection:
            connection.execute("UPDATE vector SET data = zeroblob(length(data)) WHERE id = 7")
    if place == "a text":
        with contextlib.closing(sqlite3.connect(database())) as connection, connection:
            connection.execute("UPDATE text SET body = x'00'")
            connection.execute("DELETE FROM vector")

    def read(store: Store) -> int:
        digests = [digest for _, digest in store.places(1)]
        return len(store.vectors(store.model("fake@1"), digests)[1])

    if place == "a vector":
        told: list[str] = []
        assert with_store(read, told.append) == 0
        assert told == ["a vector is not the one that was stored"]
        assert counts(run(root, FakeEmbedder())) == (50, 0)
    else:
        done = run(root, FakeEmbedder())
        assert len(done.damage) == 1
        assert counts(done) == (50, 0)
    assert with_store(read, pytest.fail) == 50
    assert database().with_suffix(".damaged").exists()


def test_a_home_that_cannot_be_written_is_an_expected_error(
    root: Path, home: Path, tmp_path: Path
) -> None:
    home.write_text("a file")
    with pytest.raises(ConfigError, match="cannot be used") as error:
        run(root, FakeEmbedder())
    assert "TRUEUP_HOME" in str(error.value.hint)


def test_an_index_that_cannot_be_opened_is_an_expected_error(root: Path) -> None:
    database().mkdir(parents=True)
    with pytest.raises(ConfigError, match="unable to open database file"):
        run(root, FakeEmbedder())


def test_errors_of_the_caller_are_not_taken_for_the_index_s(home: Path) -> None:
    def work(store: Store) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        with_store(work, pytest.fail)


def test_two_processes_at_once_embed_everything_once(root: Path) -> None:
    for number in range(8):
        (root / f"part_{number}.py").write_text(module(40 * number, 40))
    code = (
        "import sys; from pathlib import Path; from tests.similarity.indexing import run;"
        "from tests.similarity.fake_embedder import FakeEmbedder;"
        "print(run(Path(sys.argv[1]), FakeEmbedder()).embedded.new)"
    )
    command = [sys.executable, "-c", code, str(root)]
    both = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) for _ in range(2)]
    embedded = [int(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(embedded) == [0, 320]


def test_one_that_waits_for_another_says_so(root: Path) -> None:
    told: list[str] = []

    class Waiting(Exception):
        pass

    def say(text: str) -> None:
        told.append(text)
        raise Waiting  # instead of waiting

    with_store(lambda store: None, pytest.fail)
    with index.indexing(root, told.append), pytest.raises(Waiting), index.indexing(root, say):
        pass
    assert told == ["waiting for another trueup that reads the same directory"]


def test_what_nobody_uses_any_more_is_dropped(root: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    (root / "a.py").write_text(module(0, 2))
    (gone / "b.py").write_text(module(10, 2))
    run(root, FakeEmbedder())
    run(gone, FakeEmbedder())
    (gone / "b.py").unlink()
    gone.rmdir()

    def left(days: float) -> tuple[int, int, int]:
        with open_database(index_directory()) as connection:
            Store(connection).prune(int(time.time() + days * DAY_SECONDS))
            tables = ("root", "text", "vector")
            one, two, three = (
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in tables
            )
            return one, two, three

    assert left(29) == (2, 4, 4)
    assert left(31) == (1, 2, 2)
    assert left(91) == (0, 0, 0)


def test_unused_vectors_are_bounded_by_number_too(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "UNUSED_VECTORS_MAX", 3)
    for start in range(0, 20, 5):
        (root / "a.py").write_text(module(start, 5))
        run(root, FakeEmbedder())
    with open_database(index_directory()) as connection:
        (number,) = connection.execute("SELECT count(*) FROM vector").fetchone()
    assert number == 5 + 3


def test_a_text_without_utf_8_in_its_path_is_found_again(root: Path) -> None:
    name = os.fsdecode(b"caf\xe9.py")
    (root / name).write_text(module(0, 1))
    done = run(root, FakeEmbedder())
    ((place, digest),) = done.places
    assert place.path == name
    assert digest == digest_of(module(0, 1).rstrip())
    assert counts(run(root, FakeEmbedder())) == (0, 1)


def test_progress_is_told_with_numbers(root: Path) -> None:
    (root / "a.py").write_text(module(0, 2 * BATCH_TEXTS))
    told = run(root, FakeEmbedder()).told
    assert "reading: 1 files, 1 new or changed" in told
    count = 2 * BATCH_TEXTS
    assert told[-1] == f"embedding: {count} of {count} (0 known already)"
