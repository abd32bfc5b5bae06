"""What the guards of a load cost: a worker's time to ready with them over its time without.

`python -m benchmarks.guard [--pairs N]`: the demo checkpoint and a random Qwen2 of 500 MB, fp32,
each spawned and forked from a server that has the imports done, as the pool does. The sides take
turns in the same run; CPU seconds are those of the worker, which other work on the machine
changes little, until it is ready and until it has answered a first request of one token: the
guards' forward pass warms up what that would have to. Exit status 1 where a spawned worker's
median ratio of CPU seconds until ready is above 1.05.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WANTED_RATIO = 1.05
QWEN2: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 768,
    "num_hidden_layers": 10,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "intermediate_size": 2880,
    "tie_word_embeddings": False,
}
PATIENCE_SECONDS = 120.0
# Wall and CPU seconds until ready, and until a first answer.
Taken = tuple[float, float, float, float]
MEASURES = ("wall until ready", "CPU until ready", "wall until answer", "CPU until answer")
READY_CPU = MEASURES.index("CPU until ready")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--child", choices=["spawn", "forks"], help=argparse.SUPPRESS)
    parser.add_argument("--guard", choices=["on", "off"], help=argparse.SUPPRESS)
    arguments, rest = parser.parse_known_args()
    if arguments.child:
        run_child(arguments.child, arguments.guard, rest)
        return 0
    return compare(arguments.pairs)


def compare(pairs: int) -> int:
    from tests.adapt.library_checkpoints import build_library_checkpoint
    from trueup.adapt.planning import Wishes, plan_model
    from trueup.checkpoint.demo import PACKED

    print(f"command  {Path(sys.executable).name} -m benchmarks.guard {' '.join(sys.argv[1:])}")
    print(
        f"machine  {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    worst = 0.0
    with tempfile.TemporaryDirectory() as home:
        qwen2 = build_library_checkpoint("qwen2", Path(home) / "qwen2", **QWEN2)
        for name, directory in (("demo", str(PACKED)), ("Qwen2", str(qwen2))):
            plan = plan_model(directory, Wishes(dtype="float32", device="cpu")).as_dict()
            size = f"{plan['memory']['weights_bytes'] / 1e6:.0f} MB of weights"
            print(f"{name:8} {size}, float32")
            worst = max(worst, report("spawned", spawned(plan, home, pairs)))
            report("forked", forked(plan, home, 3 * pairs))
    return 0 if worst <= WANTED_RATIO else 1


def report(way: str, turns: list[tuple[Taken, Taken]]) -> float:
    """Prints the medians of pairs (with, without); returns that of CPU seconds until ready."""
    medians = []
    for column, measure in enumerate(MEASURES):
        pairs = [(guarded[column], bare[column]) for guarded, bare in turns]
        ratios = sorted(guarded / bare for guarded, bare in pairs)
        medians.append(statistics.median(ratios))
        guarded, bare = (1000 * statistics.median(each) for each in zip(*pairs, strict=True))
        print(
            f"{way:8} {measure:17} {medians[-1]:.3f} ({len(turns)} pairs, {ratios[0]:.3f} to "
            f"{ratios[-1]:.3f}); medians {guarded:.0f} ms with, {bare:.0f} ms without",
            flush=True,
        )
    return medians[READY_CPU]


def spawned(plan: dict[str, Any], home: str, pairs: int) -> list[tuple[Taken, Taken]]:
    def seconds(guard: str) -> Taken:
        return start_spawned(plan, home, guard)

    turns = [(seconds("on"), seconds("off")) for _ in range(pairs + 1)]
    return turns[1:]  # the first pair warms the page cache


def start_spawned(plan: dict[str, Any], home: str, guard: str) -> Taken:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        command = [*child_command("spawn", guard), "--socket", f"{folder}/s"]
        started = time.perf_counter()
        with subprocess.Popen(
            [*command, "--control", str(theirs.fileno())],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            text=True,
        ) as child:
            theirs.close()
            if child.stdin is not None:
                child.stdin.write(json.dumps({"plan": plan}) + "\n")
                child.stdin.close()
            wait_ready(ours)
            ready = time.perf_counter() - started, cpu_seconds(child.pid)
            ask_one_token(f"{folder}/s")
            taken = *ready, time.perf_counter() - started, cpu_seconds(child.pid)
            ours.close()
            child.wait(PATIENCE_SECONDS)
    return taken


def forked(plan: dict[str, Any], home: str, pairs: int) -> list[tuple[Taken, Taken]]:
    with fork_server("on") as guarded, fork_server("off") as bare:
        turns = [
            (start_forked(guarded, plan, home), start_forked(bare, plan, home))
            for _ in range(pairs + 2)
        ]
    return turns[2:]


@contextlib.contextmanager
def fork_server(guard: str) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with subprocess.Popen(
        [*child_command("forks", guard), "--control", str(theirs.fileno())],
        stderr=subprocess.DEVNULL,
        pass_fds=(theirs.fileno(),),
    ) as child:
        theirs.close()
        try:
            if not read(ours)["ready"]:
                raise SystemExit("this process cannot be forked")
            yield ours
        finally:
            ours.close()
            child.wait(PATIENCE_SECONDS)


def start_forked(server: socket.socket, plan: dict[str, Any], home: str) -> Taken:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with tempfile.TemporaryDirectory(dir=home) as folder, open(os.devnull, "wb") as log:
        message = json.dumps({"fork": 1, "socket": f"{folder}/s", "plan": plan}).encode()
        started = time.perf_counter()
        socket.send_fds(server, [message], [theirs.fileno(), log.fileno()])
        theirs.close()
        wait_ready(ours)
        pid = read(server)["pid"]
        ready = time.perf_counter() - started, cpu_seconds(pid)
        ask_one_token(f"{folder}/s")
        taken = *ready, time.perf_counter() - started, cpu_seconds(pid)
        ours.close()
        while "exited" not in read(server):
            pass
    return taken


def cpu_seconds(pid: int) -> float:
    """What the threads of a process have used since their start, to the nanosecond."""
    used = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text(encoding="utf-8").split()[0]) for each in used) / 1e9


def ask_one_token(path: str) -> None:
    """The first request of a worker."""
    body = json.dumps({"model": "m", "prompt": "One and", "max_tokens": 1, "temperature": 0})
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(PATIENCE_SECONDS)
        asked.connect(path)
        asked.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        answer = b"".join(iter(lambda: asked.recv(65536), b""))
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the worker did not answer: {answer[:500]!r}")


def wait_ready(control: socket.socket) -> None:
    control.settimeout(PATIENCE_SECONDS)
    while (report := read(control))["state"] != "ready":
        if report["state"] == "failed":
            raise SystemExit(f"the worker failed: {report['finding']}")


def read(control: socket.socket) -> dict[str, Any]:
    data = control.recv(65536)
    if not data:
        raise SystemExit("the worker ended before it was ready")
    shape: dict[str, Any] = json.loads(data)
    return shape


def child_command(way: str, guard: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.guard", "--child", way, "--guard", guard]


def run_child(way: str, guard: str, rest: list[str]) -> None:
    """A worker or a fork server as the pool starts it, with or without guards."""
    import trueup.adapt.load
    from trueup.worker import __main__ as worker
    from trueup.worker import forkserver

    if guard == "off":
        trueup.adapt.load.__dict__["guard"] = lambda *_, **__: None
    sys.argv = [sys.argv[0], *rest]
    worker.main() if way == "spawn" else forkserver.main()


if __name__ == "__main__":
    sys.exit(main())
