import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from trueup.checkpoint.pickle_words import attacks, described, words_for


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("posix.system", "starts programs"),
        ("subprocess.Popen", "starts programs"),
        ("builtins.eval", "runs any code"),
        ("__builtin__.exec", "runs any code"),
        ("builtins.open", "reads or writes files"),
        ("urllib.request.urlopen", "talks to other machines"),
        ("torch.load", "unpickles something else"),
        ("numpy.core.multiarray._reconstruct", "an array of numpy"),
        ("numpy.load", "unpickles something else"),
        ("transformers.training_args.TrainingArguments", "settings of a training"),
        ("torch.nn.modules.linear.Linear", "a whole model, not its weights"),
        ("__main__.Net", "something of the program that saved it"),
        ("osmium.x", ""),
        ("", ""),
    ],
)
def test_a_global_is_named_by_what_it_does(name: str, words: str) -> None:
    assert words_for(name) == words


def test_an_honest_pickle_names_no_attack() -> None:
    honest = ["transformers.training_args.TrainingArguments", "builtins.getattr", "torch.device"]
    honest += ["numpy.core.multiarray._reconstruct", "pathlib.PosixPath", "sklearn.svm.SVC"]
    assert attacks(honest) == []
    assert attacks([*honest, "nt.system"]) == ["nt.system"]


def scanner(monkeypatch: pytest.MonkeyPatch, scan: Any) -> None:
    module = ModuleType("picklescan.scanner")
    vars(module).update(SafetyLevel=SimpleNamespace(Dangerous="dangerous"), scan_pickle_bytes=scan)
    monkeypatch.setitem(sys.modules, "picklescan", ModuleType("picklescan"))
    monkeypatch.setitem(sys.modules, "picklescan.scanner", module)


def test_picklescan_adds_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def scan(file: Any, _name: str) -> Any:
        assert file.read() == b"\x80\x02cposix\nsystem\n0ca.b\nC\n0N."
        known = SimpleNamespace(module="posix", name="system", safety="dangerous")
        other = SimpleNamespace(module="a.b", name="C", safety="suspicious")
        return SimpleNamespace(globals=[known, other])

    scanner(monkeypatch, scan)
    assert described(["posix.system", "a.b.C", "odd name.x\n"]) == [
        "`posix.system` (starts programs; picklescan knows it from attacks)",
        "`a.b.C`",
        "`odd name.x\\n`",
    ]


def test_a_scanner_that_fails_costs_its_verdict_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def scan(*_: Any) -> Any:
        raise ValueError("not mine")

    scanner(monkeypatch, scan)
    assert described(["posix.system"]) == ["`posix.system` (starts programs)"]


def test_without_picklescan_the_words_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picklescan", None)
    monkeypatch.setitem(sys.modules, "picklescan.scanner", None)
    assert described(["posix.system"]) == ["`posix.system` (starts programs)"]


def test_the_real_picklescan_knows_attacks_and_says_nothing_of_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = described(["posix.system", "sklearn.svm.SVC", "__main__.Net"])
    assert told == [
        "`posix.system` (starts programs; picklescan knows it from attacks)",
        "`sklearn.svm.SVC`",
        "`__main__.Net` (something of the program that saved it)",
    ]
    assert caplog.records == []
