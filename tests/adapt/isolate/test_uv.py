from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.adapt.isolate.fake_uv import install_fake
from trueup.adapt.isolate import uv
from trueup.adapt.isolate.uv import failure, find_uv, run_uv
from trueup.errors import AdaptError

NO_WHEEL = (
    "error: No solution found when resolving dependencies\n  cause: Because tokenizers was not "
    "found in the provided package locations and you require tokenizers, we can conclude that "
    "your requirements are unsatisfiable.\n"
)
TWO_WAYS = (
    "error: No solution found when resolving dependencies\n  cause: Because transformers==4.30.2 "
    "depends on tokenizers<0.14 and you require tokenizers==0.20.0, we can conclude that your "
    "requirements are unsatisfiable.\n"
)
NO_VERSION = (
    "error: No solution found when resolving dependencies\n  cause: Because there is no version of "
    "transformers==4.38.99 and you require transformers==4.38.99, we can conclude that your "
    "requirements are unsatisfiable.\n"
)
OTHER_FILE = (
    "error: Failed to download `tiktoken==0.14.0`\n  cause: Hash mismatch for `tiktoken==0.14.0`\n"
)
NO_NETWORK = (
    "error: Request failed after 3 retries in 5.0s\n  cause: Failed to fetch: "
    "http://127.0.0.1:9/simple/numpy/\n  cause: dns error\n"
)


@pytest.mark.parametrize(
    ("said", "wheelhouse", "cause", "hint"),
    [
        (TWO_WAYS, None, "exclude each other: .*tokenizers==0.20.0", "--transformers"),
        (NO_WHEEL, Path("/wheels"), "wheelhouse does not have .*tokenizers", "docs/env"),
        (NO_WHEEL, None, "has no wheel for this Python", "--python"),
        (NO_VERSION, None, "index does not have .*4.38.99", "--transformers"),
        (OTHER_FILE, None, "not the one that was locked: .*tiktoken", "--update"),
        (NO_NETWORK, None, "index cannot be reached", "--wheelhouse"),
        ("error: No space left on device (os error 28)\n", None, "no room", "TRUEUP_HOME"),
        ("", None, "status 2", None),
        ("error: something new\n", None, "something new", None),
    ],
)
def test_each_failure_of_uv_says_its_cause_and_what_to_do(
    said: str, wheelhouse: Path | None, cause: str, hint: str | None
) -> None:
    error = failure("packages cannot be resolved", said, 2, wheelhouse)
    with pytest.raises(AdaptError, match=f"^packages cannot be resolved: .*{cause}"):
        raise error
    assert (error.hint is None) == (hint is None)
    assert hint is None or hint in str(error.hint)
    assert "\n" not in error.cause


def test_uv_is_found_beside_the_interpreter_then_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("venv", "path"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "uv").write_text("#!/bin/sh\n")
        (tmp_path / name / "uv").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert find_uv() == tmp_path / "venv" / "uv"
    (tmp_path / "venv" / "uv").unlink()
    assert find_uv() == tmp_path / "path" / "uv"
    (tmp_path / "path" / "uv").unlink()
    with pytest.raises(AdaptError, match="built by uv") as told:
        find_uv()
    assert told.value.hint == "pip install 'trueup[isolated]'"


def test_no_environment_that_is_active_is_taken_for_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "uv"
    fake.write_text(f"#!/bin/sh\nenv > {tmp_path}/told\npwd >> {tmp_path}/told\n")
    fake.chmod(0o755)
    monkeypatch.setattr(uv, "find_uv", lambda: fake)
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    run_uv(["venv"], doing="it", tell=print)
    told = (tmp_path / "told").read_text().splitlines()
    assert not any(line.startswith("VIRTUAL_ENV=") for line in told)
    assert "UV_DEFAULT_INDEX=http://127.0.0.1:9/simple" in told
    assert told[-1] == "/"


def test_a_uv_that_does_not_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = install_fake(tmp_path, "3.11", monkeypatch)
    os.chmod(fake.path, 0o600)
    with pytest.raises(AdaptError, match="uv does not run: Permission denied"):
        run_uv(["venv"], doing="it", tell=print)
