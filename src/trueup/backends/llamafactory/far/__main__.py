"""The commands of the far worker: keep, attach, model."""

from __future__ import annotations

import argparse
import json
import sys

from .daemon import keep
from .relay import relay


def main() -> int:
    """Carry out one command; its exit status."""
    parser = argparse.ArgumentParser(prog="trueup-llamafactory")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("keep", "attach"):
        commands.add_parser(name).add_argument("--dir", required=True)
    commands.add_parser("model")
    arguments = parser.parse_args()
    if arguments.command == "attach":
        return relay(arguments.dir)
    if arguments.command == "keep":
        return keep(arguments.dir, json.loads(sys.stdin.readline()))
    from .script_model import run  # LlamaFactory is imported by this command alone

    return run()


if __name__ == "__main__":
    sys.exit(main())
