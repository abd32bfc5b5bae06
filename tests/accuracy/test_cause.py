from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.accuracy.cause import Cause, function_at, matches, of_finding, of_outcome, quoted

CODE = """\
import torch


class Layer(torch.nn.Module):
    @property
    def size(self):
        return 1

    def forward(self, states):
        def inner():
            return states
        return torch.add(
            states,
            inner(),
        )
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "modeling_own.py").write_text(CODE, "utf-8")
    return tmp_path


def label(**changes: object) -> Cause:
    facts: dict[str, object] = {"stage": "forward", "exception": "AttributeError"}
    facts |= {"file": "modeling_own.py", "line": 12, "function": "Layer.forward", "text": "told"}
    return Cause(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (1, "<module>"),
        (4, "Layer"),
        (5, "Layer.size"),  # of the decorator
        (9, "Layer.forward"),
        (11, "Layer.forward.<locals>.inner"),
        (14, "Layer.forward"),
    ],
)
def test_a_line_is_in_the_function_that_its_frame_would_name(
    directory: Path, line: int, name: str
) -> None:
    assert function_at(directory / "modeling_own.py", line) == name


def test_code_that_does_not_parse_has_no_functions(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f(:\n", "utf-8")
    assert function_at(tmp_path / "broken.py", 1) == "<module>"


@pytest.mark.parametrize(
    ("changes", "is_right"),
    [
        ({}, True),
        ({"line": 9}, True),  # the same function
        ({"stage": "generate"}, False),
        ({"exception": "TypeError"}, False),
        ({"exception": None}, False),
        ({"file": "modeling_other.py"}, False),
        ({"function": "Layer.size"}, False),
        ({"file": None, "line": None, "function": None}, False),
    ],
)
def test_the_right_cause_is_stage_exception_and_place(
    directory: Path, changes: dict[str, object], is_right: bool
) -> None:
    assert matches(label(), label(**changes), directory) is is_right


@pytest.mark.parametrize(("line", "is_right"), [(9, True), (8, False), (15, True), (16, False)])
def test_to_the_line_is_within_three_lines(directory: Path, line: int, is_right: bool) -> None:
    assert matches(label(), label(line=line), directory, strictly=True) is is_right


def test_to_the_line_is_the_same_statement_however_long(tmp_path: Path) -> None:
    call = ["def f():", "    return g(", *["        1,"] * 9, "    )"]
    (tmp_path / "long.py").write_text("\n".join(call), "utf-8")
    long, near = ({"file": "long.py", "function": "f", "line": line} for line in (3, 12))
    assert matches(label(**long), label(**near), tmp_path, strictly=True)


def test_a_failure_within_the_library_is_named_by_what_its_message_quotes(directory: Path) -> None:
    nowhere: dict[str, object] = {"file": None, "line": None, "function": None}
    happened = label(text="'OwnConfig' object has no attribute 'num_hidden_layers'", **nowhere)
    right = label(text="the cache reads `num_hidden_layers` of the config")
    wrong = label(text="`head_mask` is gone", **nowhere)
    assert matches(happened, right, directory)
    assert not matches(happened, wrong, directory)


def test_what_a_message_quotes_is_found_in_every_form() -> None:
    missing = "packages that were not found in your environment: timm, flash_attn. Run pip"
    assert quoted("f() got an unexpected keyword argument 'padding_side'") == {"padding_side"}
    assert quoted("'OwnConfig' object has no attribute 'width'") == {"OwnConfig", "width"}
    assert quoted(missing) == {"timm", "flash_attn"}
    assert not quoted("expected a tensor")


def test_a_part_of_a_stage_is_scored_as_the_stage() -> None:
    frame = {"file": "modeling_own.py", "line": 3, "function": "f"}
    outcome = {"outcome": "failed", "exception": "KeyError", "message": "'type'", "frame": frame}
    cause = of_outcome("generate.cached", outcome)
    assert (cause.stage, cause.exception, cause.function) == ("generate", "KeyError", "f")


def test_a_stage_that_did_not_end_is_a_cause_of_its_own_kind() -> None:
    assert of_outcome("load", {"outcome": "timeout"}).exception == "Timeout"


def test_the_head_of_a_class_is_of_the_module_where_the_finding_says_so(directory: Path) -> None:
    finding = {"stage": "import", "cause": "`B` is not defined", "code": "CODE1"}
    where = {"path": "modeling_own.py", "line": 4}
    told = of_finding({**finding, "where": where, "function": "<module>"}, directory)
    assert told.function == "<module>"
    assert of_finding({**finding, "where": where}, directory).function == "Layer"


def test_a_comprehension_is_where_its_function_is(directory: Path) -> None:
    own = label(function="Layer.forward.<locals>.<listcomp>")
    assert matches(own, label(), directory)
    assert not matches(own, label(function="Layer.other"), directory)


def test_only_a_line_of_code_is_the_place_of_a_finding(directory: Path) -> None:
    finding = {"stage": "load", "cause": "`x` is not set", "code": "CFG1", "exception": "KeyError"}
    key = of_finding({**finding, "where": {"path": "config.json", "line": 3}}, directory)
    code = of_finding({**finding, "where": {"path": "modeling_own.py", "line": 9}}, directory)
    assert (key.file, code.function) == (None, "Layer.forward")
