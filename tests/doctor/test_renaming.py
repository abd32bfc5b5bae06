"""Nothing is found by the name of a class or a file: other names, the same findings."""

from typing import Any

import pytest

from tests.doctor.examples import EXAMPLES, Example
from tests.doctor.facts import AUTO_MAP, checkpoint, environment
from tests.doctor.models import FILES, rename, renamed
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding

BROKEN = [(each, version) for each in EXAMPLES for version, codes in each.rows if codes]


def told(finding: Finding) -> tuple[Any, ...]:
    path = rename((finding.where.path or "").removesuffix(".py"))
    function = rename(finding.function) if finding.function else None
    return (
        finding.code,
        finding.severity,
        finding.stage,
        (path, finding.where.line),
        function,
        finding.exception,
        rename(finding.cause),
        (finding.since, finding.until),
    )


@pytest.mark.parametrize(
    ("example", "version"), BROKEN, ids=[f"{each.name} on {version}" for each, version in BROKEN]
)
def test_other_names_of_classes_and_files_change_no_finding(example: Example, version: str) -> None:
    where = environment(version, **example.packages)
    auto_map = {
        key: value
        for key, value in AUTO_MAP.items()
        if value.partition(".")[0] in [FILES[each] for each in example.code]
    }
    more: dict[str, Any] = {"config": example.config}
    parts: dict[str, Any] = {**example.code, **more}
    plain = checkpoint(**parts, auto_map=auto_map)
    other = checkpoint(
        more=renamed(example.code),
        auto_map={key: rename(value) for key, value in auto_map.items()},
        **more,
    )
    found = [told(each) for each in examine(plain, where)]
    assert found
    assert [told(each) for each in examine(other, where)] == found
