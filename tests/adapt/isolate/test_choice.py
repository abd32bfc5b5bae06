from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.version import Version

from trueup.adapt.isolate.advisories import advisories_of
from trueup.adapt.isolate.choice import Choice, NoChoice, choose
from trueup.adapt.isolate.interpreters import Interpreter

RELEASES = [
    Version(text)
    for text in (
        "4.27.4", "4.30.2", "4.33.3", "4.34.1", "4.36.2", "4.38.2", "4.41.2", "4.44.2", "4.47.1",
        "4.49.0", "4.52.4", "4.53.3", "4.55.4", "4.57.6", "5.0.0", "5.2.0", "5.3.0", "5.23.0",
    )
]  # fmt: skip


def python(minor: str) -> Interpreter:
    return Interpreter(path=Path(f"/usr/bin/python{minor}"), version=f"{minor}.4")


def chosen(
    works: str, named: str | None = None, home: str = "3.11", path: Sequence[str] = ()
) -> Choice | NoChoice:
    """What is chosen where the model works from one release to another."""
    oldest, _, newest = works.partition("-")

    def judge(release: Version) -> list[str]:
        if release < Version(oldest):
            return ["IMP101", "TOK101"]
        return ["GEN101"] if release > Version(newest or oldest) else []

    return choose(
        RELEASES,
        None if named is None else Version(named),
        python(home),
        can_share=True,
        judge=judge,
        find=lambda minor: python(minor) if minor in path else None,
    )


@pytest.mark.parametrize(
    ("works", "named", "expected"),
    [
        # What the config names, where nothing better is known.
        ("4.30.2-4.50.3", "4.49.0", "4.49.0"),
        ("4.30.2-4.47.1", "4.41.2", "4.41.2"),
        ("4.30.2-4.47.1", "4.40.1", "4.40.1"),
        ("4.27.4-4.33.3", "4.30.2", "4.30.2"),
        # Never one with a known way to run code where another will do.
        ("4.27.4-4.41.2", "4.30.2", "4.38.2"),
        ("4.30.2-4.49.0", "4.41.2", "4.49.0"),
        ("4.41.2-4.57.6", "4.57.6", "4.52.4"),
        ("4.53.3-4.55.4", "4.57.6", "4.53.3"),
        ("4.55.4-5.3.0", "4.57.6", "5.3.0"),
        ("4.55.4-5.23.0", "4.57.6", "5.23.0"),
        ("4.57.6-5.2.0", "5.0.0", "5.0.0"),
        # The nearest to what the config names, else the newest.
        ("4.49.0-4.52.4", "4.41.2", "4.49.0"),
        ("4.44.2-4.47.1", "4.41.2", "4.44.2"),
        ("4.38.2-4.49.0", None, "4.49.0"),
    ],
)
def test_the_release_is_a_safe_one_then_the_named_one_then_the_nearest(
    works: str, named: str | None, expected: str
) -> None:
    found = chosen(works, named)
    assert isinstance(found, Choice)
    assert str(found.release) == expected
    assert found.advisories == advisories_of(Version(expected))


def test_one_release_alone_is_found_between_the_steps() -> None:
    for release in RELEASES:
        found = chosen(str(release), "4.41.2")
        assert isinstance(found, Choice)
        assert found.release == release


def test_few_releases_are_judged_where_the_first_will_do() -> None:
    asked: list[Version] = []

    def judge(release: Version) -> list[str]:
        asked.append(release)
        return []

    choose(RELEASES, Version("4.49.0"), python("3.11"), can_share=True, judge=judge, find=python)
    assert asked == [Version("4.49.0")]


@pytest.mark.parametrize(
    ("works", "home", "path", "expected", "shares"),
    [
        ("4.30.2-4.33.3", "3.11", (), "3.11", True),
        # The oldest releases have no wheels for newer Pythons.
        ("4.30.2-4.33.3", "3.12", ("3.11",), "3.11", False),
        ("4.41.2", "3.13", ("3.11", "3.12"), "3.12", False),
        # What the Python of the installed torch can have comes before a Python of another torch.
        ("4.30.2-4.38.2", "3.12", ("3.11",), "3.12", True),
        ("4.38.2-4.47.1", "3.13", ("3.11",), "3.13", True),
    ],
)
def test_the_python_is_that_of_the_installed_torch_where_the_release_has_wheels_for_it(
    works: str, home: str, path: Sequence[str], expected: str, shares: bool
) -> None:
    found = chosen(works, home=home, path=path)
    assert isinstance(found, Choice)
    assert (found.interpreter.minor, found.shares_torch) == (expected, shares)


def test_no_fitting_python_is_a_reason_that_names_those_that_would_fit() -> None:
    found = chosen("4.34.1-4.41.2", home="3.13")
    assert isinstance(found, NoChoice)
    assert "transformers 4.34.1 to 4.41.2" in found.reason
    assert "`python3.11` or `python3.12`" in found.reason
    found = chosen("4.30.2", home="3.12", path=("3.13",))
    assert isinstance(found, NoChoice)
    assert "needs `python3.11`, and PATH has none" in found.reason


def test_a_model_that_works_nowhere_is_a_reason_with_what_it_meets() -> None:
    asked: list[Version] = []

    def judge(release: Version) -> list[str]:
        asked.append(release)
        return ["GEN101"]

    found = choose(RELEASES, None, python("3.11"), can_share=True, judge=judge, find=python)
    assert isinstance(found, NoChoice)
    assert found.reason == "it should work with no known release of transformers"
    assert set(found.errors) == set(asked)
    assert len(asked) < len(RELEASES)  # what fails on both sides for one reason is told


def test_the_words_say_why_it_is_not_the_named_release() -> None:
    found = chosen("4.41.2-4.57.6", "4.57.6")
    assert isinstance(found, Choice)
    assert "CVE-2026-4372, CVE-2026-5241" in found.why[0]
    found = chosen("4.41.2-4.49.0", "4.41.2")
    assert isinstance(found, Choice)
    assert "has CVE-2024-11392, CVE-2024-11393, CVE-2024-11394" in found.why[0]
    found = chosen("4.41.2-4.47.1", "4.38.2")
    assert isinstance(found, Choice)
    assert "with 4.38.2, which its config names, it meets IMP101, TOK101" in found.why[0]


CONVERTING = {"CVE-2024-11392", "CVE-2024-11393", "CVE-2024-11394"}


@pytest.mark.parametrize(
    ("release", "ids"),
    [
        ("4.53.3", {"CVE-2026-5241"}),
        ("4.54.0", {"CVE-2026-4372", "CVE-2026-5241"}),
        ("5.2.0", {"CVE-2026-4372", "CVE-2026-5241"}),
        ("5.3.0", {"CVE-2026-5241"}),
        ("5.5.0", set()),
        ("4.52.4", set()),
        ("4.48.0", set()),
        ("4.47.1", CONVERTING),
        ("4.36.2", {"CVE-2024-3568", *CONVERTING}),
        ("4.35.2", {"CVE-2023-7018", "CVE-2024-3568", "CVE-2023-6730", *CONVERTING}),
    ],
)
def test_each_release_has_the_advisories_of_its_range(release: str, ids: set[str]) -> None:
    assert {each.id for each in advisories_of(Version(release))} == ids
