"""What is measured: our gateway and LiteLLM's proxy, each as people start it, on one core."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.environments import python_for

KEY = "sk-benchmark-1234567890"
START_SECONDS = 120.0
SERVER_CORE, OTHER_CORE = 1, 0


@dataclass(frozen=True)
class Running:
    """A server under test: its port and the processes whose CPU counts."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def processes(self) -> list[psutil.Process]:
        """The server's process and its children."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    @property
    def memory_bytes(self) -> int:
        """Proportional set size of all of them."""
        return sum(each.memory_full_info().pss for each in self.processes)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def running(name: str, command: list[str], port: int, core: int, folder: Path) -> Iterator[Running]:
    """A process on one core, once its port answers; ended with the block."""
    environment = {**os.environ, "TRUEUP_HOME": str(folder / "home"), "PYTHONPATH": ""}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        try:
            _wait(process, port, folder / f"{name}.log")
            yield Running(name, port, process)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ours(upstream_port: int, port: int, folder: Path) -> list[str]:
    """`trueup serve` with a key, metrics and the JSON access log."""
    shape = {
        "config_version": 1,
        "server": {"port": port, "api_keys": [KEY], "access_log": "json"},
        "backends": {"m": {"url": f"http://127.0.0.1:{upstream_port}/v1", "model": "m"}},
    }
    path = folder / "trueup.yaml"
    path.write_text(json.dumps(shape), encoding="utf-8")
    return [sys.executable, "-m", "trueup", "serve", "--config", str(path)]


LITELLM_SETTINGS = """model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
litellm_settings: {{num_retries: 0, request_timeout: 600, telemetry: false, drop_params: true}}
"""


def litellm_settings(upstream_port: int) -> str:
    """LiteLLM's configuration."""
    return LITELLM_SETTINGS.format(port=upstream_port, key=KEY)


def litellm(upstream_port: int, port: int, folder: Path) -> list[str]:
    """LiteLLM's proxy with a key and nothing that costs: no database, no callbacks, no log."""
    path = folder / "litellm.yaml"
    path.write_text(litellm_settings(upstream_port), encoding="utf-8")
    command = python_for("peer-litellm").parent / "litellm"
    return [str(command), "--config", str(path), "--host", "127.0.0.1", "--port", str(port),
            "--num_workers", "1", "--telemetry", "False"]  # fmt: skip


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the server answers anything."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(
                f"{log.stem} did not start:\n{log.read_text(errors='replace')[-3000:]}"
            )
        try:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/models", headers={"Authorization": f"Bearer {KEY}"}
            )
            with urllib.request.urlopen(request, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{log.stem} did not answer:\n{log.read_text(errors='replace')[-3000:]}")
