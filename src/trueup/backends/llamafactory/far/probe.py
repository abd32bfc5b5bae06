"""Looks at each thing that a model needs here, and tells of all of them; loads no model.

One line of JSON for each step, on stdout; the exit status is that of the first that failed.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .faults import SpecFault, error_of
from .lines import Message, line_of
from .paths import check_adapter, check_base, find_cli
from .template_names import check_template, known_templates

NO_CLI = 42
NO_PACKAGE = 43
NO_BASE = 46
NO_ADAPTER = 49
NO_TEMPLATE = 50
NO_SCRIPT = 51
PACKAGES = ("llamafactory", "transformers", "peft", "torch", "vllm", "sglang")


def run() -> int:
    """Look at what the line on stdin names."""
    spec: Message = json.loads(sys.stdin.readline())
    out = os.dup(1)
    os.dup2(2, 1)  # libraries print
    sys.stdout = sys.stderr
    status = 0
    for name, failure, look in STEPS:
        step: Message = {"step": name}
        try:
            step["detail"] = look(spec)
        except BaseException as error:  # what a library does at its import, it may exit
            step["error"] = error_of(error)
            step["status"] = failure
            status = status or failure
        os.write(out, line_of(step))
    return status


def _interpreter(spec: Message) -> str:
    return f"{sys.executable} ({platform.python_version()})"


def _import(spec: Message) -> str:
    import llamafactory  # type: ignore[import-not-found,unused-ignore]
    from llamafactory.chat import ChatModel  # type: ignore[import-not-found,unused-ignore]

    return os.path.dirname(llamafactory.__file__) if ChatModel else ""


def _versions(spec: Message) -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _cli(spec: Message) -> str:
    return find_cli(spec.get("cli_path"))


def _base(spec: Message) -> str:
    base = spec.get("base_model_path")
    if base is None:
        return ""
    check_base(base)
    folder = os.path.expanduser(base)
    if os.path.isdir(folder) and not os.path.isfile(os.path.join(folder, "config.json")):
        raise SpecFault("BaseModelMissing", base)
    return str(base) if os.path.isdir(folder) else f"{base} (a hub id: not looked up)"


def _adapter(spec: Message) -> str:
    adapter = spec.get("adapter_path")
    if adapter is None:
        return ""
    check_adapter(adapter)
    return str(adapter)


def _template(spec: Message) -> str:
    name = spec.get("template")
    if name is None:
        return "the tokenizer's own"
    if known_templates() is not None:
        check_template(name)
        return str(name)
    from llamafactory.data.template import (  # type: ignore[import-not-found,unused-ignore]
        TEMPLATES,
    )

    if name not in TEMPLATES:
        raise SpecFault("TemplateUnknown", name, known=sorted(TEMPLATES))
    return str(name)


def _script(spec: Message) -> str:
    script = spec.get("script_path")
    if script is None:
        return ""
    if not os.path.isfile(os.path.expanduser(script)):
        raise SpecFault("ScriptMissing", script)
    return str(os.path.abspath(os.path.expanduser(script)))


STEPS: tuple[tuple[str, int, Callable[[Message], Any]], ...] = (
    ("interpreter", 0, _interpreter),
    ("llamafactory", NO_PACKAGE, _import),
    ("versions", 0, _versions),
    ("command line", NO_CLI, _cli),
    ("base model", NO_BASE, _base),
    ("adapter", NO_ADAPTER, _adapter),
    ("template", NO_TEMPLATE, _template),
    ("script", NO_SCRIPT, _script),
)
