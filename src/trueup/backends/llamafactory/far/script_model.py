"""The mode script: LlamaFactory's ChatModel in this process, asked by messages of the keeper.

The main thread loads and answers; a thread reads, so that an answer can be cancelled.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .channel import Channel
from .faults import SpecFault, error_of
from .generating import answer_by_generate
from .lines import Message
from .memory import free_bytes
from .paths import check_paths, weights_bytes
from .streaming import answer_by_stream

# Requests that an engine with a scheduler of its own gets at a time.
SCHEDULED = 64


def run() -> int:
    """Load what the first message says, then answer until the keeper is gone."""
    channel = Channel.taken()
    spec = channel.first()
    try:
        chat_model, facts = _loaded(spec, channel)
    except BaseException as error:  # LlamaFactory may exit: that is a failed load too
        channel.send({"event": "state", "state": "failed", "error": error_of(error)})
        return 1
    channel.send({"event": "state", "state": "ready", **facts})
    while True:
        request = channel.requests.get()
        if facts["continues"]:
            _answer(chat_model, request, channel, answer_by_generate)
        else:
            whole = (chat_model, request, channel, answer_by_stream)
            threading.Thread(target=_answer, args=whole, daemon=True).start()


def _loaded(spec: Message, channel: Channel) -> tuple[Any, Message]:
    """The ChatModel, and what is to be known of it."""
    started = time.monotonic()

    def stage(name: str, **more: Any) -> None:
        seconds = round(time.monotonic() - started, 3)
        state = {"event": "state", "state": "loading", "stage": name, "seconds": seconds}
        channel.send({**state, **more})

    check_paths(spec)
    needed = weights_bytes(spec["base_model_path"])
    memory = {"weights_bytes": needed, "free_bytes": free_bytes()}
    stage("importing", **memory)
    from llamafactory.chat import ChatModel  # type: ignore[import-not-found,unused-ignore]
    from llamafactory.data.template import (  # type: ignore[import-not-found,unused-ignore]
        TEMPLATES,
    )

    template = spec.get("template")
    if template is not None and template not in TEMPLATES:
        raise SpecFault("TemplateUnknown", template, known=sorted(TEMPLATES))
    stage("loading weights", **memory)
    chat_model = ChatModel(_arguments(spec))
    engine = chat_model.engine
    if not getattr(engine, "can_generate", True):
        raise SpecFault("NoChat", spec["base_model_path"])
    # Its engine of transformers is driven by `generate` itself, which tells tokens and their ends.
    continues = spec["infer_backend"] == "huggingface" and _has_parts(engine)
    config = getattr(getattr(engine, "model", None), "config", None)
    return chat_model, {
        "seconds": round(time.monotonic() - started, 3),
        "concurrent": 1 if continues else SCHEDULED,
        "continues": continues,
        "dtype": str(getattr(getattr(engine, "model", None), "dtype", "")).rpartition(".")[2],
        "version": _version(),
        "context_tokens": getattr(config, "max_position_embeddings", None),
        **memory,
    }


def _version() -> str | None:
    try:
        return version("llamafactory")
    except PackageNotFoundError:  # run from its sources
        return None


def _arguments(spec: Message) -> dict[str, Any]:
    names = {
        "base_model_path": "model_name_or_path",
        "adapter_path": "adapter_name_or_path",
        "template": "template",
        "default_system": "default_system",
        "infer_backend": "infer_backend",
    }
    given = {theirs: spec.get(ours) for ours, theirs in names.items()}
    for name in ("model_name_or_path", "adapter_name_or_path"):
        if (path := given[name]) is not None and path.startswith("~"):
            given[name] = os.path.expanduser(path)
    return {name: value for name, value in given.items() if value is not None}


def _has_parts(engine: Any) -> bool:
    """Whether the engine is made as those releases make it that were looked at."""
    process = getattr(engine, "_process_args", None)
    if process is None:
        return False
    wanted = {"model", "tokenizer", "processor", "template", "generating_args", "messages"}
    return wanted <= set(inspect.signature(process).parameters)


def _answer(chat_model: Any, request: Message, channel: Channel, how: Any) -> None:
    answer_id = str(request["id"])

    def emit(event: str, **more: Any) -> None:
        channel.send({"event": event, "id": answer_id, **more})

    try:
        how(chat_model, request, emit, lambda: answer_id in channel.cancelled)
    except Exception as error:  # one answer failed; the model is there for the next
        emit("error", **error_of(error))
    finally:
        channel.cancelled.discard(answer_id)
