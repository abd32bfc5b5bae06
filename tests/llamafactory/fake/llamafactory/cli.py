import sys

from llamafactory.chat import run_chat
from llamafactory.data.template import TEMPLATES


def main():
    command, *flags = sys.argv[1:]
    assert command in ("chat", "api")
    args = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    template = args.get("template")
    if template is not None and template not in TEMPLATES:
        raise ValueError(f"Template {template} does not exist.")
    if command == "api":
        from llamafactory.api import run_api

        run_api(args)
    run_chat(args)
