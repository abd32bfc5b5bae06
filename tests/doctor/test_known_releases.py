"""What a report says of a release that the index does not have."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from tests.doctor.facts import checkpoint, environment
from tests.doctor.models import model
from trueup.cli.main import main
from trueup.doctor.examine import examine
from trueup.doctor.finding import Finding
from trueup.environment.symbols import shipped
from trueup.environment.symbols.symbols import versions


def told(version: str) -> list[Finding]:
    found = examine(checkpoint(**model()), environment(version))
    return [each for each in found if each.code in ("ENV105", "ENV107")]


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(shipped, "path", lambda _: tmp_path / "absent.symbols")
    shipped.index_of.cache_clear()
    shipped._symbols.cache_clear()
    yield
    shipped.index_of.cache_clear()
    shipped._symbols.cache_clear()


def test_of_every_release_in_the_index_there_is_nothing_to_say() -> None:
    assert [each for version in versions() for each in told(str(version))] == []


@pytest.mark.parametrize("version", ["4.26.1", "3.0"])
def test_of_an_older_release_nothing_is_known_and_that_is_said(version: str) -> None:
    (finding,) = told(version)
    assert (finding.code, finding.severity) == ("ENV107", "warning")
    assert f"nothing is known of transformers {version}" in finding.cause
    assert f"older than {versions()[0]}, the oldest" in finding.cause


def test_the_newest_known_release_is_the_newest_of_the_index() -> None:
    newest = versions()[-1]
    assert told(str(newest)) == []
    (finding,) = told(f"{newest.major}.{newest.minor + 1}.0")
    assert (finding.code, finding.severity) == ("ENV105", "info")
    assert f"newer than {newest}, the newest" in finding.cause


def test_a_release_between_two_is_said_to_be_judged_by_the_nearest() -> None:
    between = next(
        version
        for version in (Version(f"4.41.{patch}") for patch in range(9, 0, -1))
        if version not in versions()
    )
    (finding,) = told(str(between))
    assert (finding.code, finding.severity) == ("ENV107", "info")
    assert "it is judged by what 4.41.2 has" in finding.cause


def test_a_release_whose_files_are_here_is_judged_by_them(tmp_path: Path) -> None:
    (tmp_path / "transformers").mkdir()
    (tmp_path / "transformers" / "__init__.py").write_text("__version__ = '4.20.0'\n")
    installed = replace(environment("4.20.0"), folders={"transformers": tmp_path})
    assert [each.code for each in examine(checkpoint(), installed)] == []


@pytest.mark.usefixtures("no_index")
def test_without_the_index_nothing_is_known_of_any_release() -> None:
    (finding,) = told("4.49.0")
    assert (finding.code, finding.severity) == ("ENV107", "warning")
    assert "lacks its index of releases" in finding.cause


@pytest.mark.usefixtures("no_index")
@pytest.mark.parametrize("words", [["--matrix"], ["--matrix", "--versions", "5.0.0"], ["--works"]])
def test_without_the_index_there_is_no_table(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "demo", *words]) == 1
    shown = capsys.readouterr()
    assert "lacks its index of releases" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("version", ["4.26.1", "4.99.0"])
def test_no_report_says_that_nothing_breaks_where_nothing_is_known(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", "demo", "--transformers", version])
    shown = capsys.readouterr().out
    assert "ENV107" in shown
    assert "nothing known" not in shown.lower()


@pytest.mark.parametrize(
    ("model_type", "hint"),
    [
        ("lama", "did you mean `llama`? Else install a newer transformers"),
        ("llama9", "install a newer transformers"),
        ("zebra", "install a newer transformers"),
    ],
)
def test_a_misspelt_model_type_is_answered_with_the_nearest(model_type: str, hint: str) -> None:
    found = examine(checkpoint(config={"model_type": model_type}), environment())
    assert next(each.hint or "" for each in found if each.code == "CFG103").startswith(hint)


def test_what_is_advised_for_rope_parameters_is_what_the_release_reads() -> None:
    def hint(kind: str, version: str) -> str:
        scaled = {"rope_type": kind, "factor": 2.0, "rope_theta": 5000.0}
        config = {"model_type": "llama", "rope_parameters": scaled}
        found = examine(checkpoint(config=config), environment(version))
        return next(each.hint or "" for each in found if each.code == "CFG107")

    assert '"rope_theta": 5000.0, "rope_scaling": {"type": "linear"' in hint("linear", "4.41.2")
    assert '"rope_scaling": {"rope_type": "linear"' in hint("linear", "4.57.6")
    assert hint("llama3", "4.41.2") == "use transformers 5.0.0 or newer"


def test_old_keys_beside_rope_parameters_are_enough() -> None:
    config = {"model_type": "llama", "rope_theta": 5000.0, "rope_parameters": {"rope_theta": 5000}}
    assert not examine(checkpoint(config=config), environment("4.57.6"))


def test_the_layers_of_two_kinds_have_keys_of_their_own() -> None:
    layers = {
        "full_attention": {"rope_type": "default", "rope_theta": 2e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 5e4},
    }
    config = {"model_type": "gemma3_text", "rope_parameters": layers}
    found = examine(checkpoint(config=config), environment("4.57.6"))
    cause = next(each.cause for each in found if each.code == "CFG107")
    assert "`rope_local_base_freq` 10000.0 instead of 50000.0, `rope_theta` 1000000.0" in cause
