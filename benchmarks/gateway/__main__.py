"""The gateway against LiteLLM's proxy and against no gateway, in the same run.

`python -m benchmarks.gateway` prints a table and one JSON object. Upstream and client share one
core, the server under test has the other; only the server's CPU time counts. Rounds alternate,
medians are compared. The first run installs LiteLLM into an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gateway.load import measure
from benchmarks.gateway.servers import (
    KEY,
    OTHER_CORE,
    SERVER_CORE,
    Running,
    free_port,
    litellm,
    litellm_settings,
    ours,
    running,
)
from benchmarks.gateway.upstream import EVENTS

GOALS = {"plain": 40.0, "chunk": 20.0}
GOAL_MEMORY_BYTES = 100 * 10**6
TTFT_STREAMS = 16
# Rounds are to take a like time: short ones would measure the machine's waking up.
SHARES = {"litellm": 1}
SHARE = 10


def main() -> int:
    """Measure and print; 1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--requests", type=int, default=800, help=f"plain ones of LiteLLM's rounds; ours: {SHARE}x"
    )
    parser.add_argument("--streams", type=int, default=80, help="the same of streams")
    parser.add_argument("--at-once", type=int, default=8)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {OTHER_CORE})
    upstream_port = free_port()
    with tempfile.TemporaryDirectory(prefix="trueup-benchmark-") as name:
        folder = Path(name)
        upstream = [sys.executable, "-m", "benchmarks.gateway.upstream", str(upstream_port)]
        ports = {"trueup": free_port(), "litellm": free_port()}
        print("LiteLLM's settings:", litellm_settings(upstream_port), sep="\n", file=sys.stderr)
        commands = {
            "trueup": ours(upstream_port, ports["trueup"], folder),
            "litellm": litellm(upstream_port, ports["litellm"], folder),
        }
        with (
            running("upstream", upstream, upstream_port, OTHER_CORE, folder) as direct,
            running("trueup", commands["trueup"], ports["trueup"], SERVER_CORE, folder) as own,
            running("litellm", commands["litellm"], ports["litellm"], SERVER_CORE, folder) as peer,
        ):
            servers = [direct, own, peer]
            return report(arguments, servers, alternating(servers, arguments))


Figures = dict[str, list[float]]


def alternating(servers: Sequence[Running], arguments: argparse.Namespace) -> dict[str, Figures]:
    """The figures of all, a round of each after the other."""
    figures: dict[str, Figures] = {}
    for number in range(arguments.rounds + 1):
        for server in servers:
            found = rounds_of(server, arguments)
            if number:  # the first one warms up
                for name, values in found.items():
                    figures.setdefault(server.name, {}).setdefault(name, []).extend(values)
    return figures


def rounds_of(server: Running, arguments: argparse.Namespace) -> Figures:
    """One round of one server."""
    processes, share = server.processes, SHARES.get(server.name, SHARE)
    plain = measure(
        server.port,
        processes,
        KEY,
        is_stream=False,
        count=arguments.requests * share,
        at_once=arguments.at_once,
    )
    streamed = measure(
        server.port,
        processes,
        KEY,
        is_stream=True,
        count=arguments.streams * share,
        at_once=arguments.at_once,
    )
    many = measure(
        server.port, processes, KEY, is_stream=True, count=TTFT_STREAMS, at_once=TTFT_STREAMS
    )
    if bad := plain.bad + streamed.bad + many.bad:
        raise SystemExit(f"{server.name}: {bad} answers were not whole")
    return {
        "plain": [plain.cpu_seconds],
        "chunk": [(streamed.cpu_seconds - plain.cpu_seconds) / EVENTS],
        "first_token": [many.first_token_seconds],
    }


def report(
    arguments: argparse.Namespace, servers: Sequence[Running], figures: dict[str, Figures]
) -> int:
    """Print the table and the JSON."""
    medians = {
        name: {key: statistics.median(values) for key, values in found.items()}
        for name, found in figures.items()
    }
    memory = {server.name: server.memory_bytes for server in servers}
    own, peer = medians["trueup"], medians["litellm"]
    ratios = {key: peer[key] / own[key] for key in ("plain", "chunk", "first_token")}
    rows = [
        ("", "CPU ms a plain request", "CPU us a chunk", "first token ms, 16 streams", "MB"),
        *(
            (
                {"upstream": "no gateway"}.get(name, name),
                "-" if name == "upstream" else f"{found['plain'] * 1e3:.3f}",
                "-" if name == "upstream" else f"{found['chunk'] * 1e6:.1f}",
                f"{found['first_token'] * 1e3:.1f}",
                "-" if name == "upstream" else f"{memory[name] / 1e6:.0f}",
            )
            for name, found in medians.items()
        ),
        ("litellm / trueup", *(f"{ratios[key]:.1f}" for key in ratios), ""),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    missed = [key for key, goal in GOALS.items() if ratios[key] < goal]
    if memory["trueup"] > GOAL_MEMORY_BYTES:
        missed.append("memory")
    said = {
        "load_average": os.getloadavg()[0],
        "rounds": arguments.rounds,
        "medians": medians,
        "runs": figures,
        "memory_bytes": memory,
        "ratios": ratios,
        "missed": missed,
    }
    print(json.dumps(said))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
