"""Messages to a model that LlamaFactory runs: one start for each message against ours.

`python -m benchmarks.llamafactory` prints one JSON object. Everything runs on the same small Qwen2
model with the real llamafactory, here and over a real sshd on loopback. The way that is common, a
new `llamafactory-cli chat` for each message, over a connection of its own where it is over SSH, is
measured before ours, whose worker has answered one message already. Ours here and over SSH take
turns, so that what SSH adds to the first token is of the same moments.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.environments import python_for
from tests.llamafactory.models import TEMPLATE, write_reciting
from tests.llamafactory.worker import request
from tests.sshd import Sshd, sshd
from trueup.backends.llamafactory.backend import LlamaFactoryBackend
from trueup.backends.llamafactory.opening import open_llamafactory
from trueup.config.llamafactory_settings import LlamaFactorySettings

ENVIRONMENT = "llamafactory-0.9.5"
MESSAGE = "你好"
PIECES = tuple(f"piece{n} " for n in range(16))
# What the terminal conversation reads: the message, and its end.
TYPED = f"{MESSAGE}\nexit\n".encode()
LONGEST_SECONDS = 300.0
# Of all processes, here and there.
SAME = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
GOAL_RATIO = 100.0
GOAL_SSH_MILLISECONDS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3, help="messages of the common way")
    parser.add_argument("--messages", type=int, default=40, help="messages of ours, after one")
    arguments = parser.parse_args()
    python = python_for(ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="trueup-") as name:
        folder = Path(name)
        os.environ |= {**SAME, "TRUEUP_HOME": f"{folder}/home"}
        model = write_reciting(folder / "model", PIECES)
        (folder / "sshd").mkdir()
        variables = {**SAME, "HOME": f"{folder}/sshd/home"}
        settings = "SetEnv " + " ".join(f"{name}={value}" for name, value in variables.items())
        with sshd(folder / "sshd", settings) as server:
            report = measure(python, model, server, arguments.starts, arguments.messages)
    print(json.dumps(report, ensure_ascii=False))
    missed = [name for name in ("here", "ssh") if report[name]["ratio"] < GOAL_RATIO]
    if report["ssh_adds_to_first_token_ms"] >= GOAL_SSH_MILLISECONDS:
        missed.append("ssh_adds_to_first_token_ms")
    print("short of the goal:", ", ".join(missed) or "nothing", file=sys.stderr)
    sys.exit(bool(missed))


def measure(python: Path, model: Path, server: Sshd, starts: int, messages: int) -> dict[str, Any]:
    command = [
        f"{python.parent}/llamafactory-cli", "chat", "--model_name_or_path", str(model),
        "--template", TEMPLATE, "--do_sample", "false",
    ]  # fmt: skip
    ways = {"here": command, "ssh": [*_ssh(server), shlex.join(command)]}
    theirs = {name: [started(way) for _ in range(starts)] for name, way in ways.items()}
    ours = asyncio.run(kept(python, model, server, messages))
    report: dict[str, Any] = {}
    for name in ways:
        before = statistics.median(theirs[name])
        after = statistics.median(seconds for _, seconds in ours[name])
        report[name] = {
            "ratio": round(before / after, 1),
            "start_each_seconds": [round(each, 2) for each in theirs[name]],
            "kept_seconds": round(after, 4),
            "kept_first_token_ms": _milliseconds([first for first, _ in ours[name]]),
        }
    adds = [far[0] - here[0] for here, far in zip(ours["here"], ours["ssh"], strict=True)]
    return report | {
        "ssh_adds_to_first_token_ms": _milliseconds(adds),
        "starts": starts,
        "messages": messages,
        "goals": {"ratio": GOAL_RATIO, "ssh_adds_to_first_token_ms": GOAL_SSH_MILLISECONDS},
    }


def started(command: Sequence[str]) -> float:
    """Seconds of a message for which everything is started."""
    began = time.perf_counter()
    finished = subprocess.run(command, input=TYPED, capture_output=True, timeout=LONGEST_SECONDS)
    seconds = time.perf_counter() - began
    _check(finished.stdout.decode(), finished.stderr.decode())
    return seconds


async def kept(
    python: Path, model: Path, server: Sshd, messages: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds to the first token and to the end of each message, here and over SSH in turns."""
    told: dict[str, Any] = {
        "base_model_path": str(model),
        "template": TEMPLATE,
        "python": str(python),
    }
    backends = {
        name: open_llamafactory(
            LlamaFactorySettings(name=name, ssh=ssh, **told), say=lambda line: None
        )
        for name, ssh in (("here", None), ("ssh", server.settings))
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in backends}
    try:
        for backend in backends.values():
            await answered(backend)
        for _ in range(messages):
            for name, backend in backends.items():
                found[name].append(await answered(backend))
    finally:
        for backend in backends.values():
            await backend.close()
    return found


async def answered(backend: LlamaFactoryBackend) -> tuple[float, float]:
    """Seconds to the first token and to the end of one message."""
    began, first, text = time.perf_counter(), None, b""
    async with backend.open(request(MESSAGE, stream=True, temperature=0)) as response:
        async for piece in response.body:
            text += piece
            if first is None and b'"token_ids"' in piece:
                first = time.perf_counter() - began
    seconds = time.perf_counter() - began
    assert first is not None
    _check(text.decode(), "")
    return first, seconds


def _check(said: str, more: str) -> None:
    """Both ways have given the whole answer."""
    missing = [piece for piece in PIECES if piece not in said]
    assert not missing, f"the answer lacks {missing}: {said[-2000:]}{more[-2000:]}"


def _ssh(server: Sshd) -> list[str]:
    """The client of OpenSSH, as everybody has it."""
    settings = server.settings
    return [
        "ssh", "-F", "none", "-p", str(settings.port), "-i", str(settings.key),
        "-o", f"UserKnownHostsFile={settings.known_hosts}", "-o", "BatchMode=yes",
        f"{settings.user}@{settings.host}",
    ]  # fmt: skip


def _milliseconds(seconds: Sequence[float]) -> float:
    return round(1000 * statistics.median(seconds), 1)


if __name__ == "__main__":
    main()
