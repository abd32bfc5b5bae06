"""Answers in a file: read back as they were, or refused with the reason."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from trueup.adapt.proof_record import Subject
from trueup.errors import CheckpointError
from trueup.proof.answers_file import FACTS, Answers, facts_digest, read_answers, write_answers
from trueup.proof.golden import read_golden, write_golden
from trueup.proof.questions import questions_for

QUESTIONS = questions_for(128, 3, is_streamed=False)
SUBJECT = Subject(digests={"weights": "sha256:1", "file config.json": "sha256:2", "torch": "2"})


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "golden.npz"
    arrays = {"prompt-5/logits": np.arange(6, dtype=np.float32).reshape(2, 3)}
    answers = {"float32": Answers(arrays=arrays, facts={"tokens": {"texts": [[1]]}})}
    write_golden(path, answers, QUESTIONS, SUBJECT, "the model's own code")
    return path


def test_golden_answers_are_read_back_as_they_were(golden: Path) -> None:
    found = read_golden(golden, SUBJECT)

    logits = found.answers["float32"].arrays["prompt-5/logits"]
    assert logits.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.answers["float32"].facts["tokens"] == {"texts": [[1]]}
    assert (found.questions, found.words) == (QUESTIONS, "the model's own code")


def test_other_libraries_may_read_it_and_other_files_may_not(golden: Path) -> None:
    other_torch = Subject(digests={**SUBJECT.digests, "torch": "3"})
    other_weights = Subject(digests={**SUBJECT.digests, "weights": "sha256:9"})

    assert read_golden(golden, other_torch).words
    with pytest.raises(CheckpointError, match=r"another model's files.* different are `weights`"):
        read_golden(golden, other_weights)


def rewritten(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as file:
        members = {each: file.read(each) for each in file.namelist()}
    assert f"{name}.npy" in members
    with zipfile.ZipFile(path, "w") as file:
        for each, before in members.items():
            file.writestr(each, content if each == f"{name}.npy" else before)


def npy(values: np.ndarray, path: Path) -> bytes:
    np.save(path, values)
    return path.read_bytes()


def test_an_array_that_somebody_changed_is_told(golden: Path, tmp_path: Path) -> None:
    content = npy(np.zeros((2, 3), dtype=np.float32), tmp_path / "array.npy")
    rewritten(golden, "float32:prompt-5/logits", content)

    with pytest.raises(CheckpointError, match="`float32:prompt-5/logits` is not what was written"):
        read_golden(golden, SUBJECT)


def test_facts_that_somebody_changed_are_told(golden: Path, tmp_path: Path) -> None:
    facts = dict(read_answers(golden).facts)
    changed = {**facts, "reference": "mine", "digest": facts_digest(facts)}
    packed = np.frombuffer(json.dumps(changed).encode(), dtype=np.uint8)
    rewritten(golden, FACTS, npy(packed, tmp_path / "facts.npy"))

    with pytest.raises(CheckpointError, match="somebody changed the file"):
        read_golden(golden, SUBJECT)


def test_a_pickle_is_never_read(golden: Path, tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    rewritten(golden, "float32:prompt-5/logits", path.read_bytes())

    with pytest.raises(CheckpointError, match="this is no file that") as caught:
        read_golden(golden, SUBJECT)
    assert "allow_pickle=False" in str(caught.value.__cause__)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"{}", b"\x80\x04K\x01."])
def test_what_is_no_such_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(content)

    with pytest.raises(CheckpointError):
        read_golden(path, SUBJECT)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_golden(tmp_path / "golden.npz", SUBJECT)


def test_answers_of_one_side_alone_are_no_golden_file(tmp_path: Path) -> None:
    path = tmp_path / "side.npz"
    write_answers(path, {}, {"side": "reference"})

    with pytest.raises(CheckpointError, match="expected `golden answers`"):
        read_golden(path, SUBJECT)


def test_a_cut_file_is_refused(golden: Path) -> None:
    content = golden.read_bytes()
    golden.write_bytes(content[: len(content) // 2])

    with pytest.raises(CheckpointError):
        read_golden(golden, SUBJECT)
