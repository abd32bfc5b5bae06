import sys
from importlib import metadata
from pathlib import Path

import pytest

from trueup.environment.packages import read_environment
from trueup.errors import ConfigError


def make_venv(home: Path, version: str, *distributions: str, system: bool = False) -> Path:
    """The files of an environment, without an interpreter that could run."""
    packages = home / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    for name in distributions:
        (packages / name).mkdir()
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = {str(system).lower()}\n"
        f"version = {version}\n"
    )
    (home / "bin").mkdir()
    (home / "bin" / "python").write_text("#!/bin/false\n")
    return home


def test_the_running_interpreter_has_what_its_metadata_says() -> None:
    environment = read_environment()
    assert environment.packages["transformers"] == metadata.version("transformers")
    assert environment.packages["huggingface-hub"] == metadata.version("huggingface_hub")
    assert str(environment.transformers) == metadata.version("transformers")
    assert environment.python == sys.executable
    assert environment.library_models["llama"] == "LlamaForCausalLM"
    assert not environment.is_assumed


def test_an_assumed_version_replaces_the_installed_one_and_nothing_else() -> None:
    environment = read_environment(assume_transformers="4.30.2")
    assert str(environment.transformers) == "4.30.2"
    assert environment.is_assumed
    assert environment.library_models == {}
    assert environment.packages["torch"] == metadata.version("torch")


@pytest.mark.parametrize("text", ["", "four", "4.x", "4.56 or so"])
def test_an_assumed_version_that_is_none_is_an_expected_error(text: str) -> None:
    with pytest.raises(ConfigError, match="version"):
        read_environment(assume_transformers=text)


@pytest.mark.parametrize("given", [".", "bin/python"])
def test_another_environment_is_read_without_running_it(tmp_path: Path, given: str) -> None:
    home = make_venv(
        tmp_path / "env",
        "3.11.4",
        "transformers-4.41.2.dist-info",
        "Typing_Extensions-4.9.0.dist-info",
        "old_style-1.0-py3.11.egg-info",
        "~ransformers-9.9.dist-info",
        "transformers-broken.dist-info",
    )
    environment = read_environment(home / given)
    assert environment.python_version == "3.11.4"
    assert environment.packages["transformers"] == "4.41.2"
    assert environment.packages["typing-extensions"] == "4.9.0"
    assert environment.packages["old-style"] == "1.0"


def test_folders_that_pth_files_add_count_and_their_code_is_not_run(tmp_path: Path) -> None:
    home = make_venv(tmp_path / "env", "3.11.4")
    (tmp_path / "beside" / "transformers-4.50.0.dist-info").mkdir(parents=True)
    (home / "lib/python3.11/site-packages/x.pth").write_text(
        f"import sys; sys.exit(9)\n# comment\n{tmp_path / 'beside'}\n"
    )
    assert read_environment(home).packages["transformers"] == "4.50.0"


def test_an_interpreter_that_is_no_environment_is_asked_for_its_path() -> None:
    base = Path(getattr(sys, "_base_executable", sys.executable))
    environment = read_environment(base)
    assert environment.python_version.startswith("3.")


@pytest.mark.parametrize("content", [None, "#!/bin/sh\nexit 3\n", "#!/bin/sh\necho hello\n"])
def test_what_does_not_answer_as_python_is_an_expected_error(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "python"
    if content is not None:
        path.write_text(content)
        path.chmod(0o755)
    with pytest.raises(ConfigError):
        read_environment(path)
