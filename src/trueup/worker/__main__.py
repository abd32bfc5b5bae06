"""`python -m trueup.worker --socket PATH`: one model, the plan as a JSON line on stdin."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from pathlib import Path

from trueup.adapt.plan import Plan
from trueup.worker.model_thread import LoadEngine
from trueup.worker.process import load_torch_engine, run_worker


def main(load_engine: LoadEngine = load_torch_engine) -> None:
    """Read the plan and serve it until the process ends."""
    parser = argparse.ArgumentParser(prog="python -m trueup.worker", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="path of the Unix socket")
    parser.add_argument(
        "--control",
        type=int,
        help="descriptor of a SOCK_SEQPACKET socket: reports go out, its end is the worker's end",
    )
    arguments = parser.parse_args()
    plan = Plan.from_dict(json.loads(sys.stdin.readline())["plan"])
    control = None if arguments.control is None else socket.socket(fileno=arguments.control)
    run_worker(arguments.socket, plan, control=control, load_engine=load_engine)


if __name__ == "__main__":
    main()
