"""Answers of a loaded ChatModel, asked by messages of the keeper.

The main thread answers; a thread reads, so that an answer can be cancelled.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .channel import Channel
from .faults import error_of
from .generating import answer_by_generate
from .lines import Message
from .memory import free_bytes
from .paths import check_paths, weights_bytes
from .streaming import answer_by_stream
from .template_names import check_template

# Requests that an engine with a scheduler of its own gets at a time.
SCHEDULED = 64


def begin(spec: Message, channel: Channel, *, cli: str | None = None) -> Callable[[str], None]:
    """See that the model is there and tell of the load; what is returned tells of its stages.

    `cli` is the program that is to load it. Raises: SpecFault.
    """
    check_paths(spec)
    check_template(spec.get("template"), cli=cli)
    needed = weights_bytes(spec["base_model_path"])
    memory = {"weights_bytes": needed, "free_bytes": free_bytes()}

    def stage(name: str) -> None:
        state = {"event": "state", "state": "loading", "stage": name}
        channel.send({**state, **memory})

    stage("importing")
    return stage


def serve(chat_model: Any, spec: Message, channel: Channel) -> int:
    """Say what the model is, then answer until the keeper is gone."""
    # Its engine of transformers is driven by `generate` itself, which tells tokens and their ends.
    engine = chat_model.engine
    continues = spec["infer_backend"] == "huggingface" and _has_parts(engine)
    model = getattr(engine, "model", None)
    facts = {
        "pid": os.getpid(),
        "concurrent": 1 if continues else SCHEDULED,
        "continues": continues,
        "dtype": str(getattr(model, "dtype", "")).rpartition(".")[2],
        "version": _version(),
        "context_tokens": getattr(getattr(model, "config", None), "max_position_embeddings", None),
        "weights_bytes": weights_bytes(spec["base_model_path"]),
        "free_bytes": free_bytes(),
    }
    channel.listen()
    channel.send({"event": "state", "state": "ready", **facts})
    while True:
        request = channel.requests.get()
        if continues:
            answer_one(chat_model, request, channel, answer_by_generate)
        else:
            whole = (chat_model, request, channel, answer_by_stream)
            threading.Thread(target=answer_one, args=whole, daemon=True).start()


def _version() -> str | None:
    try:
        return version("llamafactory")
    except PackageNotFoundError:  # run from its sources
        return None


def arguments_of(spec: Message) -> dict[str, Any]:
    """What LlamaFactory calls what the model is to be."""
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


def answer_one(chat_model: Any, request: Message, channel: Channel, how: Any) -> None:
    """Answer a request; what goes wrong with it is told."""
    answer_id = str(request["id"])

    def emit(event: str, **more: Any) -> None:
        channel.send({"event": event, "id": answer_id, **more})

    try:
        how(chat_model, request, emit, lambda: answer_id in channel.cancelled)
    except Exception as error:  # one answer failed; the model is there for the next
        emit("error", **error_of(error))
    finally:
        channel.cancelled.discard(answer_id)
