"""Inside `llamafactory-cli chat`: its first question is answered by serving the keeper instead.

Put before PYTHONPATH as `sitecustomize`. The terminal conversation asks by `input`; the one that
asks has the loaded ChatModel among its names. So messages of several lines, messages such as
`exit`, and ends of replies are exact, which they are not in the conversation itself.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import TracebackType
from typing import Any

VARIABLE = "TRUEUP_LLAMAFACTORY_HOOK"
ASKED_NAME = "chat_model"
TEMPLATES_MODULE = "llamafactory.data.template"


def install() -> None:
    """Take the place of `input`; a `sitecustomize` that is there too comes to its right."""
    told = os.environ.get(VARIABLE)
    if told is not None:
        _take(json.loads(told))
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


def _take(told: dict[str, Any]) -> None:
    ask, report = builtins.input, sys.excepthook

    def input_(prompt: object = "", /) -> str:
        chat_model = sys._getframe(1).f_locals.get(ASKED_NAME)
        if not hasattr(chat_model, "engine"):
            return ask(prompt)
        from .serving import serve

        serve(chat_model, told["spec"], _channel(told))
        return ""  # never: it ends with the keeper

    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        report(kind, error, traceback)
        _channel(told).send({"event": "state", "state": "failed", "error": _error(told, error)})

    builtins.input = input_
    sys.excepthook = excepthook


def _channel(told: dict[str, Any]) -> Any:
    from .channel import Channel, end_with_parent

    end_with_parent()
    incoming, outgoing = told["files"]
    return Channel(os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb", buffering=0))


def _error(told: dict[str, Any], error: BaseException) -> dict[str, Any]:
    from .faults import SpecFault, error_of

    known = getattr(sys.modules.get(TEMPLATES_MODULE), "TEMPLATES", {})
    template = told["spec"].get("template")
    if known and template is not None and template not in known:
        error = SpecFault("TemplateUnknown", template, known=sorted(known))
    return error_of(error)
