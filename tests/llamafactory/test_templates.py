from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from tests.llamafactory.test_probe import steps_of
from tests.llamafactory.worker import Bench, streamed
from trueup.backends.llamafactory.far.faults import SpecFault
from trueup.backends.llamafactory.far.template_names import check_template, known_templates
from trueup.backends.llamafactory.templates import known_name, nearest_names, warning_of
from trueup.errors import TrueUpError

KNOWN = ["default", "qwen", "qwen3", "qwen2_vl", "llama3", "chatglm3", "glm4"]


@pytest.mark.parametrize(
    ("template", "near"),
    [("qwne", "qwen"), ("lama3", "llama3"), ("chatglm", "chatglm3"), ("qwen2.5-vl", "qwen2_vl")],
)
def test_the_nearest_names_have_the_one_that_was_meant(template: str, near: str) -> None:
    assert near in nearest_names(template, KNOWN)


def test_nothing_is_guessed_where_nothing_is_near() -> None:
    assert nearest_names("zzz", KNOWN) == []


def test_names_that_many_write_are_known_and_told_of() -> None:
    assert [known_name(each) for each in ("qwen2", "qwen2.5", "qwen", "x", None)] == [
        "qwen",
        "qwen",
        "qwen",
        "x",
        None,
    ]
    assert "`qwen` is taken" in str(warning_of("qwen2"))
    assert warning_of("qwen") is None
    assert warning_of(None) is None


def package(folder: Path, source: str) -> Path:
    """A LlamaFactory that cannot be imported, whose templates are told by that source."""
    (data := folder / "llamafactory" / "data").mkdir(parents=True)
    (folder / "llamafactory" / "__init__.py").write_text("raise RuntimeError('was imported')\n")
    (data / "__init__.py").touch()
    (data / "template.py").write_text(source)
    return folder


async def test_an_unknown_one_is_told_before_anything_is_imported(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "register_template(name='qwen')\n_register_template('llama3')\n"
    monkeypatch.setenv("PYTHONPATH", str(package(bench.folder / "found", source)))
    async with bench.backend(template="lama3") as backend:
        with pytest.raises(TrueUpError, match="template `lama3` does not exist") as caught:
            await streamed(backend, "say hi")
        assert caught.value.hint == "did you mean `llama3`?"
    steps = {step.name: step for step in await steps_of(bench.settings(template="lama3"))}
    assert (steps["llamafactory"].state, steps["template"].state) == ("failed", "failed")
    assert steps["template"].hint == "did you mean `llama3`?"
    async with bench.backend(template="llama3") as backend:
        with pytest.raises(TrueUpError, match="was imported"):
            await streamed(backend, "say hi")


@pytest.mark.parametrize(
    "source",
    [
        "for name in NAMES:\n    register_template(name=name)\n",
        "register_template(\n",
        "TEMPLATES = load()\n",
    ],
)
def test_what_the_source_does_not_tell_is_left_to_llamafactory(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(package(tmp_path, source)))
    assert known_templates() is None
    check_template("whatever")
    package(tmp_path / "other", "register_template(name='qwen')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    check_template("whatever", cli="/elsewhere/bin/llamafactory-cli")
    with pytest.raises(SpecFault, match="whatever"):
        check_template("whatever", cli=str(Path(sys.executable).parent / "llamafactory-cli"))


@pytest.mark.llamafactory
def test_the_names_of_the_real_one_are_those_that_it_has(llamafactory_python: Path) -> None:
    ask = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); "
        "from far.template_names import known_templates; "
        "read = known_templates(); assert 'llamafactory' not in sys.modules; "
        "from llamafactory.data.template import TEMPLATES; "
        "print(json.dumps([read, sorted(TEMPLATES)]))"
    )
    source = str(resources.files("trueup.backends.llamafactory"))
    finished = subprocess.run(
        [llamafactory_python, "-c", ask, source], capture_output=True, text=True, check=True
    )
    read, known = json.loads(finished.stdout.splitlines()[-1])
    assert len(read) > 100
    assert read == known
