"""Settings that hold for every test: own state, no network, no skip without a listed reason."""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from pathlib import Path

import hypothesis
import pytest

# The same examples on every run: a test that fails now and then says nothing of a change.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")

# Before anything of ours or of Hugging Face is imported: both read these at import.
HOME = Path(tempfile.mkdtemp(prefix="trueup-tests-"))
os.environ["TRUEUP_HOME"] = str(HOME / "home")
# In it the modules of models' own code, all in one place: their package stays where it was first
# imported from.
os.environ["HF_HOME"] = str(HOME / "huggingface")
os.environ.pop("HF_MODULES_CACHE", None)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("TRUEUP_API_KEY", "TRUEUP_CONFIG", "HF_TOKEN", "HF_ENDPOINT", "OPENAI_API_KEY"):
    os.environ.pop(name, None)

ALLOWED_SKIPS = tomllib.loads(
    (Path(__file__).parent / "allowed_skips.toml").read_text(encoding="utf-8")
)["reasons"]


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not any(reason.startswith(allowed) for allowed in ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"skipped without a reason of allowed_skips.toml: {reason}"
    return report
