"""The commands of the far worker: keep, attach, model, probe."""

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
    for name in ("model", "probe"):
        commands.add_parser(name)
    arguments = parser.parse_args()
    if arguments.command == "attach":
        return relay(arguments.dir)
    if arguments.command == "keep":
        return keep(arguments.dir, json.loads(sys.stdin.readline()))
    if arguments.command == "probe":
        from .probe import run as probe

        return probe()
    from .channel import Channel

    channel = Channel.taken()
    spec = channel.first()
    if spec["mode"] == "api":
        from .api_server import run as run_api

        return run_api(channel, spec)
    if spec["mode"] == "cli":
        from .cli_model import run as run_cli

        return run_cli(channel, spec)
    from .script_model import run  # LlamaFactory is imported by this command alone

    return run(channel, spec)


if __name__ == "__main__":
    sys.exit(main())
