"""`trueup suite` without loading anything: its arguments, static runs, servers of a script."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.embedding_server import EmbeddingServer, our_row
from tests.homes import home_at
from trueup.adapt.isolate.planned import PlannedEnvironment
from trueup.cli import suite_system
from trueup.cli.main import main
from trueup.cli.report import model_report
from trueup.cli.suite_reports import report_files
from trueup.cli.suite_system import chosen
from trueup.config.load import load_config
from trueup.config.settings import ModelSettings
from trueup.errors import UsageError

DEMO = Path(suite_system.__file__).parents[1] / "demo_checkpoint"
CONFIG = """
config_version: 1
models:
  good: {source: demo}
  broken: {source: BROKEN}
backends:
  far: {url: "http://127.0.0.1:9/v1", api_key: "${env.FAR_KEY}"}
roles:
  talk: {chain: [broken, good, far], acceptance: {languages: [zh]}}
aliases: {gpt: talk}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUEUP_HOME", home_at(tmp_path / "home"))
    monkeypatch.setenv("FAR_KEY", "secret-of-the-test")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    broken = tmp_path / "broken"
    shutil.copytree(DEMO, broken)
    (broken / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    path = tmp_path / "trueup.yaml"
    path.write_text(CONFIG.replace("BROKEN", str(broken)))
    return path


def static(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    assert main(["suite", *words, "--static", "--format", "json"]) == status
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def states(report: dict[str, Any]) -> dict[str, str]:
    return {each["id"]: each["state"] for each in report["cases"]}


def test_a_static_run_of_the_demo_passes(capsys: pytest.CaptureFixture[str]) -> None:
    report = static(capsys)
    assert states(report) == {"demo/check": "passed"}
    assert report["is_static"]
    assert report["environment"]["packages"]["transformers"]
    assert report["subjects"][0]["plan"]["route"] == "native"


def test_a_static_run_of_a_configuration_checks_each_model_and_ends_at_none(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = static(capsys, "--config", str(config), status=1)
    assert states(report) == {"good/check": "passed", "broken/check": "failed"}
    broken = report["cases"][1]
    assert broken["cause"].startswith("DIR")
    assert broken["where"]["path"].endswith("broken/model.safetensors")
    assert broken["instead"].startswith("`good`, which is in the chain of `talk` too")
    assert report["environment"]["config"] == str(config)


def test_models_choose_of_the_configuration(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--config", str(config))
    assert set(states(static(capsys, *words, "good"))) == {"good/check"}
    assert set(states(static(capsys, *words, "gpt", status=1))) == {"good/check", "broken/check"}
    assert set(states(static(capsys, *words, str(DEMO)))) == {"demo_checkpoint/check"}
    assert main(["suite", *words, "goood", "--static"]) == 2
    err = capsys.readouterr().err
    assert "`goood` is neither a name of the configuration nor a directory" in err
    assert "did you mean `good`" in err


def test_a_chosen_name_keeps_the_part_of_the_role_that_it_stands_for(config: Path) -> None:
    settings = load_config(config)
    added = ModelSettings(name=None, source="", dtype="float32")
    assert chosen(settings, [], added) == settings
    one = chosen(settings, ["far", "org/model"], added)
    assert [each.source for each in one.models] == ["org/model"]
    assert one.models[0].dtype == "float32"
    assert [role.chain for role in one.roles] == [("far",)]
    whole = chosen(settings, ["talk"], added)
    assert [each.name for each in whole.models] == ["good", "broken"]


def test_the_variable_names_the_configuration_where_nothing_else_is_named(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUEUP_CONFIG", str(config))
    assert set(states(static(capsys, status=1))) == {"good/check", "broken/check"}
    assert set(states(static(capsys, "demo"))) == {"demo/check"}


def test_a_model_that_is_not_there_fails_its_check_at_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("config_version: 1\nmodels:\n  gone: {source: ./nowhere}\n")
    report = static(capsys, "--config", str(path), status=1)
    (case,) = report["cases"]
    assert case["cause"].startswith("the relative path `./nowhere` does not exist")
    assert (case["where"]["path"], case["where"]["line"]) == (str(path), 3)
    named = static(capsys, "org/none", status=1)
    assert states(named) == {"org/none/check": "failed"}


def test_a_static_run_goes_by_another_version(capsys: pytest.CaptureFixture[str]) -> None:
    report = static(capsys, "demo", "--transformers", "4.40.0", "--route", "native", status=1)
    assert report["environment"]["packages"] == {"transformers": "4.40.0"}
    assert "4.40.0 is older than" in report["cases"][0]["cause"]


@pytest.mark.parametrize(
    ("words", "cause", "where"),
    [
        (["--transformers", "4.49.0"], "run on the installed transformers", "--transformers"),
        (["--url", "http://h", "--static"], "`--url` names a server", "--static"),
        (["--url", "http://h", "--dtype", "float32"], "`--url` names a server", "--dtype"),
        (["a", "b", "--revision", "x"], "a revision and 2 MODELs", "--revision"),
        (["--max-tokens", "0"], "`0` tokens, expected 1 or more", "--max-tokens"),
        (["--report", "x.pdf"], "the file ends in `.pdf`, expected one of `.txt`", "x.pdf"),
        (["--report", "no/x.md"], "there is no directory `no`", "--report no/x.md"),
        (["--report", "x.md", "--report", "x.md"], "the file is named twice", "--report x.md"),
        (["--baseline", "none.json"], "the baseline cannot be read", "none.json"),
        (["--static", "--only", "zzz"], "no static case is left; there are `demo/check`", "zzz"),
        (["--static", "--skip", "check"], "no static case is left", "--skip check"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    words: list[str], cause: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suite", *words]) == 2
    err = capsys.readouterr().err
    assert cause in err
    assert where in err


def test_two_models_of_one_name_are_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        shutil.copytree(DEMO, tmp_path / folder / "m")
    assert main(["suite", "a/m", "b/m", "--static"]) == 2
    assert "two models are called `m`" in capsys.readouterr().err


def test_a_name_with_spaces_can_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(DEMO, tmp_path / "my model")
    assert states(static(capsys, "./my model")) == {"my-model/check": "passed"}


def test_every_form_is_written_by_its_ending_and_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["r.txt", "r.json", "r.md", "r.html", "r.xml"]
    flags = [word for name in names for word in ("--report", name)]
    assert main(["suite", "--static", *flags, "--format", "github"]) == 0
    shown = capsys.readouterr().out
    assert shown == "::notice title=trueup suite::1 of 1, 100.0 %25\n"
    begins = {name: (tmp_path / name).read_text()[:12].split("\n")[0] for name in names}
    assert begins == {
        "r.txt": "demo: chat, ", "r.json": "{", "r.md": "# trueup sui", "r.html": "<!doctype ht",
        "r.xml": "<?xml versio",
    }  # fmt: skip
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([*names, "home"])
    assert (tmp_path / "r.md").stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_report_that_can_no_longer_be_written_is_told_and_fails_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def gone(paths: Any) -> Any:
        found = report_files(paths)
        folder.rmdir()
        return found

    monkeypatch.setattr("trueup.cli.suite.report_files", gone)
    assert main(["suite", "--static", "--report", "out/x.md", "--report", "y.md"]) == 1
    shown = capsys.readouterr()
    assert "Passed: 1 of 1" in shown.out
    assert "`out/x.md` was not written: No such file" in shown.err
    assert (tmp_path / "y.md").exists()


def test_a_report_that_cannot_be_written_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(UsageError, match="it is a directory"):
        report_files([tmp_path / "folder.md"])
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(UsageError, match="permission denied"):
        report_files([tmp_path / "x.md"])


def test_what_changed_since_the_baseline_is_told(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base.json"
    static(capsys, "--config", str(config), "--report", str(base), status=1)
    shutil.copy(DEMO / "model.safetensors", tmp_path / "broken" / "model.safetensors")
    words = ("--config", str(config), "--baseline", str(base))
    report = static(capsys, *words)
    assert report["baseline"]["fixed"] == [
        {"id": "broken/check", "before": "failed", "now": "passed"}
    ]
    assert report["baseline"]["file"] == str(base)
    part = static(capsys, *words, "good")
    assert [each["id"] for each in part["baseline"]["gone"]] == ["broken/check"]
    only = static(capsys, *words, "--only", "good")
    assert only["baseline"]["gone"] == []


def test_an_interrupt_while_models_are_checked_still_gives_a_report(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = model_report

    def interrupted(kind: Any, source: str, **options: Any) -> Any:
        if source != "demo":
            raise KeyboardInterrupt
        return first(kind, source, **options)

    monkeypatch.setattr(suite_system, "model_report", interrupted)
    assert main(["suite", "--config", str(config), "--format", "json", "--report", "r.md"]) == 130
    report = json.loads(capsys.readouterr().out)
    assert report["is_interrupted"]
    assert states(report)["good/check"] == "passed"
    assert states(report)["broken/check"] == "not_run"
    assert states(report)["good/load"] == "not_run"
    assert "Interrupted" in Path("r.md").read_text()


@pytest.fixture
def foreign() -> Iterator[EmbeddingServer]:
    with EmbeddingServer().listening() as server:
        yield server


def test_anothers_server_is_tested_by_its_list(
    foreign: EmbeddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["suite", "--url", foreign.url, "--kind", "embedding", "--skip", "similarity"]
    assert main([*words, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert states(report) == {
        "codebert/reach": "passed", "codebert/embedding": "passed", "codebert/stable": "passed",
    }  # fmt: skip
    assert report["environment"] == {"url": foreign.url}
    assert "windows" not in foreign.requests[0]
    assert main(["suite", "--url", foreign.url, "nix"]) == 2
    assert "`nix` is not served there, only `codebert`" in capsys.readouterr().err


def test_a_server_of_ours_is_tested_by_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    acceptance = {"embedding_seconds": 1.5, "languages": ["zh"], "later": 1}
    role = {"role": {"chain": ["codebert"], "answers": "codebert", "acceptance": acceptance}}
    rows = [our_row(), {"id": "find", "trueup": role}, {"id": "f", "trueup": {"alias_of": "find"}}]
    with EmbeddingServer(rows=rows).listening() as server:
        words = ["suite", "--url", f"{server.url}/v1", "--format", "json", "--skip", "*/similarity"]
        assert main([*words, "--skip", "memory", "f"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert server.requests[0]["windows"] is True
    assert states(report) == {
        "codebert/load": "passed", "find/codebert/embedding": "passed",
        "find/codebert/stable": "passed", "find/answers": "passed",
    }  # fmt: skip
    assert report["cases"][1]["figures"][0]["limit"] == 1.5


def test_a_server_that_fails_fails_its_cases_and_ends_nothing(
    foreign: EmbeddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign.answer = (500, b'{"error": {"message": "out of memory", "hint": "wait"}}')
    assert main(["suite", "--url", foreign.url, "--kind", "embedding", "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert states(report) == {
        "codebert/reach": "failed", "codebert/embedding": "skipped", "codebert/stable": "skipped",
        "codebert/similarity": "skipped",
    }  # fmt: skip
    assert (report["cases"][0]["cause"], report["cases"][0]["hint"]) == ("out of memory", "wait")


def test_a_server_that_is_not_there_is_an_expected_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["suite", "--url", "http://127.0.0.1:9"]) == 1
    assert "no answer from the server" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("has_consent", "flags", "expected"),
    [(True, [], ["4.38.2"]), (True, ["--static"], []), (False, [], [])],
)
def test_the_environment_of_an_isolated_model_is_built_with_consent(
    has_consent: bool,
    flags: list[str],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    built: list[str] = []

    def build(planned: PlannedEnvironment, *, tell: Callable[[str], None]) -> None:
        tell("resolving packages")
        built.append(planned.request.transformers)

    monkeypatch.setattr("trueup.adapt.isolate.build.build_environment", build)
    if has_consent:
        assert main(["trust", "demo", "--yes"]) == 0
    capsys.readouterr()
    main(["suite", "demo", "--route", "isolated", "--only", "demo/check", *flags])
    assert built == expected
    assert ("resolving packages" in capsys.readouterr().err) is bool(expected)
