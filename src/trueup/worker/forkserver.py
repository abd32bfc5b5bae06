"""`python -m trueup.worker.forkserver --control FD` has the imports done and forks workers.

It runs no operation, starts no thread and never touches a GPU: a fork would inherit them
broken. Its children are its own to reap; it ends with the server and they end with it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from trueup.adapt.plan import Plan
from trueup.worker.confinement import die_with_parent, set_process_name
from trueup.worker.model_thread import LoadEngine
from trueup.worker.process import load_torch_engine, run_worker

# What a worker imports anyway; one that is missing here fails there, with its reason.
MODULES = (
    "torch",
    "transformers",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.glm.modeling_glm",
    "transformers.generation.utils",
    "safetensors.torch",
    "sentencepiece",
    "tiktoken",
    "jinja2",
    "trueup.adapt.load",
    "trueup.engines.chat",
    "trueup.engines.embedding_load",
    "trueup.engines.forecast",
    "trueup.kronos.loading",
)
MAX_MESSAGE_BYTES = 256 * 1024
FORKED_FDS = 2


def main(modules: tuple[str, ...] = MODULES, load_engine: LoadEngine = load_torch_engine) -> None:
    """Import, say whether forking is safe, then fork on request until the server is gone."""
    parser = argparse.ArgumentParser(prog="python -m trueup.worker.forkserver")
    parser.add_argument("--control", type=int, required=True)
    control = socket.socket(fileno=parser.parse_args().control)
    die_with_parent(signal.SIGKILL)
    set_process_name("trueup forks")
    _import(modules)
    obstacle = _obstacle()
    _send(control, {"ready": obstacle is None, "reason": obstacle})
    if obstacle is None:
        # What is alive now stays in pages that all workers share.
        gc.collect()
        gc.freeze()
        ForkServer(control, load_engine).run()


def _import(modules: tuple[str, ...]) -> None:
    """Import what is there, without starting a thread."""
    wanted = os.environ.get("OPENBLAS_NUM_THREADS")
    # numpy's OpenBLAS starts its threads while it is loaded, and so does scipy's, which
    # transformers imports where it is installed; torch computes with another.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for module in ("numpy", *modules):
        _import_one(module)
    if wanted is None:
        del os.environ["OPENBLAS_NUM_THREADS"]
    else:
        os.environ["OPENBLAS_NUM_THREADS"] = wanted


def _import_one(module: str) -> None:
    with contextlib.suppress(ImportError):
        importlib.import_module(module)


def _obstacle() -> str | None:
    """Why this process must not be forked, None where it may."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"{threads} threads run after the imports"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "an import has initialised CUDA"
    return None


class ForkServer:
    """Forks, signals and reaps; one thread, one loop."""

    def __init__(self, control: socket.socket, load_engine: LoadEngine) -> None:
        self._control = control
        self._load_engine = load_engine
        self._children: set[int] = set()

    def run(self) -> None:
        """Serve requests until the server is gone."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            readable, _, _ = select.select([self._control.fileno(), wake_read], [], [])
            if wake_read in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
                self._reap()
            if self._control.fileno() in readable:
                data, fds, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, FORKED_FDS)
                if not data:
                    return self._end_children()
                self._take(json.loads(data), fds, (wake_read, wake_write))

    def _take(self, message: dict[str, Any], fds: list[int], own_fds: tuple[int, ...]) -> None:
        if "signal" in message:
            # Only a child that was not reaped: its number cannot be another process's.
            if message["pid"] in self._children:
                os.kill(message["pid"], message["signal"])
            return
        pid = os.fork()
        if pid == 0:
            for fd in own_fds:
                os.close(fd)
            self._run_child(message, *fds)
        for fd in fds:
            os.close(fd)
        self._children.add(pid)
        _send(self._control, {"forked": message["fork"], "pid": pid})

    def _run_child(self, message: dict[str, Any], control_fd: int, stderr_fd: int) -> NoReturn:
        status = 1
        try:
            self._control.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(stderr_fd, 1)
            os.dup2(stderr_fd, 2)
            os.close(stderr_fd)
            run_worker(
                Path(message["socket"]),
                Plan.from_dict(message["plan"]),
                control=socket.socket(fileno=control_fd),
                load_engine=self._load_engine,
            )
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            _send(self._control, {"exited": pid, "returncode": os.waitstatus_to_exitcode(status)})

    def _end_children(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)


def _send(control: socket.socket, message: dict[str, Any]) -> None:
    # A server that is gone reads no more; the next turn of the loop sees it.
    with contextlib.suppress(OSError):
        control.send(json.dumps(message).encode())


if __name__ == "__main__":
    main()
