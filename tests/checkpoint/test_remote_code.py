from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.directories import write
from trueup.checkpoint.remote_code import FILE_LIMIT_BYTES, join_auto_maps, read_remote_code


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ([{}], {}),
        ([{"auto_map": {"AutoModel": "a.B"}}], {"AutoModel": "a.B"}),
        ([{"auto_map": {"AutoTokenizer": ["a.S", "a.F"]}}], {"AutoTokenizer": "a.S"}),
        ([{"auto_map": {"AutoTokenizer": [None, "a.F"]}}], {"AutoTokenizer": "a.F"}),
        ([{"auto_map": ["a.S", None]}], {"AutoTokenizer": "a.S"}),
        ([{"auto_map": {"A": "x.Y"}}, {"auto_map": {"A": "z.Z", "B": "b.B"}}],
         {"A": "x.Y", "B": "b.B"}),
        ([{"auto_map": 7}], {}),
        ([{"auto_map": {"A": None, "B": 3, "C": []}}], {}),
    ],
)  # fmt: skip
def test_auto_maps_of_every_shape_are_joined(
    configs: list[dict[str, Any]], expected: dict[str, str]
) -> None:
    assert join_auto_maps(*configs) == expected


def test_imports_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": "def f():\n    try:\n        from .b import x\n    except ImportError:\n"
            "        from . import c\n",
            "b.py": "from .a import y\nimport os\nfrom transformers import z\n",
            "c.py": "from .d import y\n",
        },
    )
    modules, problems = read_remote_code(tmp_path, {"AutoModel": "a.A"})
    assert sorted(modules) == ["a.py", "b.py", "c.py"]
    assert [(problem.kind, problem.path) for problem in problems] == [("absent", "d.py")]
    assert problems[0].detail == "asked for by c.py at line 1"


@pytest.mark.parametrize("coding", [b"", b"# -*- coding: latin-1 -*-\n"])
def test_code_that_is_not_utf_8_is_a_problem_whatever_its_coding_line_says(
    tmp_path: Path, coding: bytes
) -> None:
    (tmp_path / "a.py").write_bytes(coding + b"# caf\xe9\nclass A: pass\n")
    modules, (problem,) = read_remote_code(tmp_path, {"AutoModel": "a.A"})
    assert (problem.kind, problem.line) == ("python_syntax", 2 if coding else 1)
    assert "not UTF-8 (the byte 0xe9)" in problem.detail
    assert modules["a.py"].tree is not None  # an audit looks into it all the same


def test_code_in_utf_8_is_none_with_any_coding_line_or_mark(tmp_path: Path) -> None:
    for content in ("# café\n", "# coding: utf-8\nx = 'é'\n", "\ufeffx = 1\n"):
        (tmp_path / "a.py").write_bytes(content.encode())
        assert read_remote_code(tmp_path, {"AutoModel": "a.A"})[1] == ()


@pytest.mark.parametrize(
    "content",
    [
        b"def f(:\n",
        b"x = 1\0",
        b"# coding: nonsense\n",
        b"(" * 5000,
        b"x = " + b"-" * 100_000 + b"1",
        b"\xff\xfe\xff",
        b"#" * (FILE_LIMIT_BYTES + 1),
    ],
)
def test_code_that_does_not_parse_is_a_problem(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.py").write_bytes(content)
    modules, problems = read_remote_code(tmp_path, {"AutoModel": "a.A"})
    assert [problem.kind for problem in problems] == ["python_syntax"]
    assert all(module.tree is None for module in modules.values())


def test_a_syntax_error_knows_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = = 2\n")
    _, problems = read_remote_code(tmp_path, {"AutoModel": "a.A"})
    assert problems[0].line == 2


def test_invalid_escapes_in_the_models_strings_are_no_warning_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('x = "\\d"\n')
    modules, problems = read_remote_code(tmp_path, {"AutoModel": "a.A"})
    assert problems == ()
    assert modules["a.py"].tree is not None


@pytest.mark.parametrize("reference", ["a", "a.b.C", "../x.C", "/etc/passwd.C", "a b.C", ""])
def test_a_reference_that_is_not_module_and_class_is_a_problem(
    tmp_path: Path, reference: str
) -> None:
    modules, problems = read_remote_code(tmp_path, {"AutoModel": reference})
    assert modules == {}
    assert [problem.kind for problem in problems] == ["malformed"]


def test_code_of_another_repository_is_not_looked_for(tmp_path: Path) -> None:
    assert read_remote_code(tmp_path, {"AutoModel": "org/name--a.A"}) == ({}, ())


def test_nothing_of_the_code_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "a.py").write_text(f"open({str(mark)!r}, 'w')\n")
    read_remote_code(tmp_path, {"AutoModel": "a.A"})
    assert not mark.exists()
