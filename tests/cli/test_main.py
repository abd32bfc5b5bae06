from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trueup.__main__ import run
from trueup.cli import crash
from trueup.cli.main import main, print_error
from trueup.errors import TrueUpError


def test_a_cause_may_have_lines_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(TrueUpError("two reasons:\n- a\n- b\x1b", where="x\ny", hint="mend it"))
    assert capsys.readouterr().err == (
        "error: two reasons:\n       - a\n       - b\\x1b\n  where: x\\ny\n  hint:  mend it\n"
    )


def test_an_interrupt_during_the_imports_is_as_quiet_as_later(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "trueup.cli.main")
    monkeypatch.setattr("builtins.__import__", interrupted)
    assert run() == 130
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")


def trueup(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which `trueup` is the command."""
    return subprocess.run(
        ["bash", "-c", f'trueup() {{ "{sys.executable}" -m trueup "$@"; }}; {command}'],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "where"),
    [
        (r"trueup chat demo --message $'\xff\xfe hi'", "--message"),
        (r"trueup chat demo --message hi --system $'\xff'", "--system"),
        (r"printf '\xff\xfe hi' | trueup chat demo", "stdin"),
    ],
)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_message_that_is_not_utf8_is_a_usage_error(command: str, where: str, locale: str) -> None:
    done = trueup(command, LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 2
    assert done.stderr == f"error: the message is not UTF-8\n  where: {where}\n"


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_what_the_terminal_cannot_encode_is_escaped(environment: dict[str, str]) -> None:
    done = trueup("trueup 你好; trueup plan demo", **environment)
    assert done.returncode == 0
    assert r"\u4f60" in done.stderr or r"\udce4" in done.stderr
    assert "a bug in TrueUp" not in done.stderr


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [("check demo", ""), ("check demo", "1"), ("plan demo --format json", ""), ("--help", "")],
)
def test_a_full_disk_under_the_output_is_said_plainly(command: str, unbuffered: str) -> None:
    done = trueup(f"trueup {command} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr == "error: the output cannot be written: No space left on device\n"


def test_a_closed_output_is_said_plainly() -> None:
    done = trueup("trueup check demo >&-")
    assert done.returncode == 1
    assert done.stderr == "error: the output cannot be written: standard output is closed\n"


def test_a_closed_stderr_leaves_stdout_to_the_data() -> None:
    assert trueup("trueup check /nowhere/at/all 2>&-").stdout == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_error(unbuffered: str) -> None:
    done = trueup("exec 3> >(:); wait $!; trueup check demo >&3", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    assert done.stderr == ""


def test_a_crash_is_reported_whatever_the_command_line_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: object) -> int:
        raise ValueError("broken \udcff")

    monkeypatch.setattr("trueup.cli.plan.run", fail)
    assert main(["plan", "\udcff"]) == 3
    where = capsys.readouterr().err.splitlines()[1].removeprefix("  where: ")
    assert r"command: trueup plan \udcff" in Path(where).read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_does_not_hide_the_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(crash, "trueup_home", nowhere)
    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    assert str(crash.save_report(["plan"], ValueError())) == "(nowhere could be written)"


def test_nothing_at_all_shows_the_help_as_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search("plan +say how a model would be run", shown.err)


@pytest.mark.parametrize(("word", "hint"), [("chekc", "trueup check"), ("xyz", "trueup --help")])
def test_an_unknown_command_is_told_the_nearest(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word]) == 2
    assert capsys.readouterr().err == f"error: `{word}` is no command\n  hint:  {hint}\n"


@pytest.mark.parametrize(("command", "status"), [("xyz", 2), ("check /nowhere/at/all", 1)])
def test_a_full_disk_under_stderr_keeps_the_exit_status(command: str, status: int) -> None:
    assert trueup(f"trueup {command} 2> /dev/full").returncode == status


def test_a_name_with_line_breaks_is_an_error_of_two_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "./no\nsuch\x1b[31m/model"]) == 1
    told = capsys.readouterr().err
    assert [line.partition(":")[0].strip() for line in told.splitlines()] == ["error", "where"]
    assert "no\\nsuch\\x1b[31m" in told
