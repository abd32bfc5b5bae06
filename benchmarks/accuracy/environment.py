"""An environment under test: its interpreter, and the server of stages that runs in it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STAGE_SECONDS = 120.0
# Nothing is to be downloaded, and no program of the user's is to change what is measured.
VARIABLES = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONWARNINGS": "ignore",
}


class Environment:
    """A running server of stages; `packages` is what its interpreter has installed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        greeting = self._answer()
        self.python: str = greeting["python"]
        self.packages: Mapping[str, str] = greeting["packages"]

    @property
    def name(self) -> str:
        """The transformers version: what tells environments apart."""
        return self.packages["transformers"]

    def run(self, stage: str, directory: Path) -> dict[str, Any]:
        """The outcome of one stage, run in a process of its own."""
        job = {"directory": str(directory), "stage": stage, "seconds": STAGE_SECONDS}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the environment ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def running(python: str) -> Iterator[Environment]:
    """The environment of an interpreter, its module cache empty; ended at the end."""
    with tempfile.TemporaryDirectory(prefix="accuracy-modules-") as modules:
        variables = {
            **os.environ,
            **VARIABLES,
            "HF_MODULES_CACHE": modules,
            "PYTHONPATH": str(ROOT),
        }
        with subprocess.Popen(
            [python, "-m", "benchmarks.accuracy.server"],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,  # its end is the server's
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            yield Environment(process)
            assert process.stdin is not None
            process.stdin.close()
