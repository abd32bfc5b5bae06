"""A worker process from its first line to its end, spawned or forked.

The main thread serves HTTP, the model thread works, a third watches the control socket and
ends the process when the server is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import uvicorn

from trueup.adapt.plan import Plan
from trueup.worker.app import App
from trueup.worker.confinement import confine, die_with_parent, set_process_name
from trueup.worker.model_thread import Engine, LoadEngine, ModelThread

if TYPE_CHECKING:
    from trueup.adapt.load import Loaded
    from trueup.engines.base import ChatEngine

# Exit statuses of a worker that was not killed.
SERVER_GONE = 0
CANNOT_LISTEN = 4


def load_torch_engine(plan: Plan, progress: Callable[[float], None]) -> Engine:
    """Load the plan's model with torch; runs in the model thread."""
    if plan.kind == "embedding":
        from trueup.engines.embedding_load import load_embedding_engine

        return load_embedding_engine(plan, progress)
    if plan.kind == "forecast":
        from trueup.engines.forecast import load_forecast_engine

        return load_forecast_engine(plan, progress)
    from trueup.adapt.load import load_plan, runs_own_code

    return chat_engine(load_plan(plan, progress=progress), is_own_code=runs_own_code(plan))


def chat_engine(loaded: Loaded, *, is_own_code: bool) -> ChatEngine:
    """The engine that computes what one pass computes: our own loop where that does."""
    from trueup.adapt.key_value_cache import steps_by_cache

    if is_own_code or not steps_by_cache(loaded.model):
        from trueup.engines.generating import GeneratingEngine

        return GeneratingEngine(loaded)
    from trueup.engines.chat import TorchChatEngine

    return TorchChatEngine(loaded)


def run_worker(
    socket_path: Path,
    plan: Plan,
    *,
    control: socket.socket | None = None,
    load_engine: LoadEngine = load_torch_engine,
) -> None:
    """Serve a plan's model on a Unix socket until the process ends.

    The socket's directory is the only place where the process may write, beside the folder of
    an embedding plan's artifacts. `control` is one end
    of a SOCK_SEQPACKET pair: reports go out, its end of file ends the process. Called in the
    main thread while it is the only one.
    """
    directory = socket_path.resolve().parent
    use_directory(directory)
    set_process_name(f"trueup {plan.model.id}")
    sandbox = confine(directory, *artifact_folders(plan))
    if control is not None:
        # After the confinement: a change of credentials would take it back.
        die_with_parent(signal.SIGKILL)
        threading.Thread(target=_end_with, args=(control,), name="watch", daemon=True).start()
    model = ModelThread(plan, load_engine, _reporter(control))
    try:
        listener = listen(socket_path)
    except OSError as error:
        print(f"{socket_path}: {error.strerror}", file=sys.stderr)  # noqa: T201 (the log)
        raise SystemExit(CANNOT_LISTEN) from None
    model.start()
    asyncio.run(_serve(App(model, sandbox=sandbox), listener))


def artifact_folders(plan: Plan) -> tuple[Path, ...]:
    """The folder that the load may write to, made here: afterwards only what is in it can be."""
    if plan.embedding is None or plan.embedding.artifact is None:
        return ()
    folder = Path(plan.embedding.artifact)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # the load says what it lacks
        print(f"{folder}: {error.strerror}", file=sys.stderr)  # noqa: T201 (the log)
        return ()
    return (folder,)


def use_directory(directory: Path) -> None:
    """Point everything that libraries write to a directory of the worker's own."""
    names = {
        "TMPDIR": ".",
        "XDG_CACHE_HOME": "cache",
        "HF_HOME": "huggingface",
        "HF_MODULES_CACHE": "modules",
        "CUDA_CACHE_PATH": "cuda",
        "TRITON_CACHE_DIR": "triton",
    }
    os.environ.update({name: str(directory / place) for name, place in names.items()})
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.chdir(directory)
    tempfile.tempdir = None
    # In a forked worker transformers is imported already and has read its variables.
    for module in ("transformers.utils.hub", "transformers.dynamic_module_utils"):
        if hasattr(sys.modules.get(module), "HF_MODULES_CACHE"):
            sys.modules[module].__dict__["HF_MODULES_CACHE"] = os.environ["HF_MODULES_CACHE"]


def listen(path: Path) -> socket.socket:
    """A listening Unix socket.

    Raises:
        OSError: the path is taken, too long or not writable.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _end_with(control: socket.socket) -> None:
    """End the process with the server, whatever the other threads are doing."""
    with contextlib.suppress(OSError):
        while control.recv(4096):
            pass
    os._exit(SERVER_GONE)


def _reporter(control: socket.socket | None) -> Callable[[Mapping[str, Any]], None]:
    def report(shape: Mapping[str, Any]) -> None:
        if control is not None:
            with contextlib.suppress(OSError):
                control.send(orjson.dumps(shape))

    return report


class _Server(uvicorn.Server):
    """Without uvicorn's signal handlers: SIGTERM ends a worker at once, it has no state."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(app: App, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        http="h11",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
    )
    await _Server(config).serve(sockets=[listener])
