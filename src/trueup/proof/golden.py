"""A reference's answers in a file of their own, for environments that live on another machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.adapt.proof_record import Subject
from trueup.errors import CheckpointError
from trueup.proof.answers_file import Answers, read_answers, write_answers
from trueup.proof.keeping import unwritable
from trueup.proof.questions import Questions

KIND = "golden answers"
BETWEEN = ":"


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Answers by dtype, what they were asked, and of which files they are.

    `digest` is that of the file, to be compared by people over another way.
    """

    answers: Mapping[str, Answers]
    questions: Questions
    files: Mapping[str, str]
    words: str
    digest: str


def write_golden(
    path: Path,
    answers: Mapping[str, Answers],
    questions: Questions,
    subject: Subject,
    words: str,
) -> str:
    """Write the file; returns its digest.

    Raises: ConfigError where it cannot be written.
    """
    arrays = {
        f"{dtype}{BETWEEN}{name}": values
        for dtype, each in answers.items()
        for name, values in each.arrays.items()
    }
    facts = {
        "kind": KIND,
        "files": published(subject),
        "questions": questions.as_dict(),
        "reference": words,
        "sides": {dtype: dict(each.facts) for dtype, each in answers.items()},
    }
    try:
        write_answers(path, arrays, facts, is_small=True)
    except OSError as error:
        raise unwritable(error, path, "the file") from error
    return file_digest(path)


def read_golden(path: Path, subject: Subject) -> Golden:
    """Read the file back for the model that `subject` is about.

    Raises: CheckpointError where it cannot be read, was changed, or is of other files.
    """
    whole = read_answers(path)
    facts = whole.facts
    if facts.get("kind") != KIND:
        raise CheckpointError(
            f"its kind is `{facts.get('kind')}`, expected `{KIND}`",
            where=str(path),
            hint="record it with trueup verify --record",
        )
    _check_files(path, facts["files"], published(subject))
    answers = {}
    for dtype, side in facts["sides"].items():
        start = f"{dtype}{BETWEEN}"
        arrays = {
            name.removeprefix(start): values
            for name, values in whole.arrays.items()
            if name.startswith(start)
        }
        answers[dtype] = Answers(arrays=arrays, facts=side)
    return Golden(
        answers=answers,
        questions=Questions.from_dict(facts["questions"]),
        files=facts["files"],
        words=str(facts["reference"]),
        digest=file_digest(path),
    )


def published(subject: Subject) -> dict[str, str]:
    """What of a subject is the publisher's: weights, code and small files."""
    return {
        name: digest
        for name, digest in subject.digests.items()
        if name in ("weights", "code") or name.startswith("file ")
    }


def _check_files(path: Path, recorded: Mapping[str, Any], here: Mapping[str, str]) -> None:
    names = sorted({*recorded, *here})
    other = [name for name in names if recorded.get(name) != here.get(name)]
    if other:
        shown = ", ".join(f"`{name.removeprefix('file ')}`" for name in other[:4])
        raise CheckpointError(
            f"these answers were recorded of another model's files, or of another revision: "
            f"different are {shown}",
            where=str(path),
            hint="record them of the very files that are here: trueup verify MODEL --record FILE",
        )


def file_digest(path: Path) -> str:
    """`sha256:…` over a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
