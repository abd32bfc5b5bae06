"""Each directory of the table, made on disk and checked."""

from pathlib import Path

import pytest

from tests.doctor.facts import environment
from tests.doctor.file_example import FileExample
from tests.doctor.file_examples import FILE_EXAMPLES
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import resolve
from trueup.doctor.examine import examine

SIDES = [(each, *row) for each in FILE_EXAMPLES for row in each.tried]


@pytest.mark.parametrize(
    ("example", "version", "codes"),
    SIDES,
    ids=[f"{each.code} on {version}" for each, version, _ in SIDES],
)
def test_what_is_wrong_with_the_files_is_found(
    example: FileExample,
    version: str | None,
    codes: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    if example.prepared is not None:
        example.prepared(monkeypatch)
    checkpoint = read_checkpoint(resolve(str(example.write(tmp_path))))
    findings = examine(checkpoint, environment(version, **example.packages))
    assert " ".join(finding.code for finding in findings) == codes


def test_a_row_of_each_example_shows_its_code() -> None:
    for each in FILE_EXAMPLES:
        assert any(each.code in codes.split() for _, codes in each.tried), each.code
