"""Runs stages in the environment under test: one forked process for each, with a time limit.

The libraries are imported once, before the forks, so that a stage costs what it does itself.
Jobs come as JSON lines on stdin, `{"directory", "stage", "seconds"}`; outcomes go to stdout.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("transformers", "torch", "tokenizers", "sentencepiece", "tiktoken", "safetensors")
MEMORY_BYTES = 10 * 2**30
CHAIN = 6


def main() -> None:
    import torch
    import transformers
    import transformers.dynamic_module_utils
    import transformers.generation.utils
    import transformers.modeling_utils

    from benchmarks.accuracy.all_stages import STAGES

    torch.set_num_threads(1)
    modules = transformers.dynamic_module_utils.HF_MODULES_CACHE
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a model's code prints is no answer
    sys.stdout = sys.stderr
    _say(answers, {"python": sys.executable, "packages": _versions(), "modules": modules})
    for line in sys.stdin:
        job = json.loads(line)
        directory = Path(job["directory"])
        outcome = in_process(
            lambda directory=directory, job=job: STAGES[job["stage"]](directory),
            directory,
            modules,
            job["seconds"],
        )
        _say(answers, outcome)


def _say(answers: Any, value: Any) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def in_process(run: Any, directory: Path, modules: str, seconds: float) -> dict[str, Any]:
    """The outcome of `run` in a forked process, which is killed after `seconds`."""
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(run, directory, modules, writing)
    os.close(writing)
    text, is_late = _read(reading, start + seconds)
    if is_late:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    taken = round(time.monotonic() - start, 3)
    if is_late:
        return {"outcome": "timeout", "seconds": taken}
    if not text:
        return {"outcome": "died", "status": status, "seconds": taken}
    return {**json.loads(text), "seconds": taken}


def _read(reading: int, deadline: float) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                return b"".join(parts), True
            part = pipe.read(65536)
            if not part:
                return b"".join(parts), False
            parts.append(part)


def _child(run: Any, directory: Path, modules: str, writing: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a debugger left in the code waits for nobody
    try:
        result = run()
        outcome: dict[str, Any] = {"outcome": "ok"}
        if isinstance(result, dict):
            outcome["result"] = result
    except BaseException as error:
        outcome = failure(error, directory, modules)
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(json.dumps(outcome).encode())
    os._exit(0)


def failure(error: BaseException, directory: Path, modules: str) -> dict[str, Any]:
    """An exception as a label: its type, its message and the deepest frame of the model's own."""
    if type(error).__name__ == "NotApplicable":
        return {"outcome": "not applicable", "reason": str(error)}
    chain = [_described(link, directory, modules) for link in _links(error)]
    return {"outcome": "failed", **chain[0], "chain": chain[1:], "top": _top(error)}


def _links(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _described(error: BaseException, directory: Path, modules: str) -> dict[str, Any]:
    own = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = frame.f_code.co_filename
        name = own_file(path, directory, modules)
        if name is not None:
            own = {"file": name, "line": line, "function": frame.f_code.co_qualname}
    if own is None and isinstance(error, SyntaxError) and error.filename:
        name = own_file(error.filename, directory, modules)
        if name is not None:
            own = {"file": name, "line": error.lineno, "function": "<module>"}
    return {"exception": type(error).__name__, "message": str(error)[:500], "frame": own}


def own_file(path: str, directory: Path, modules: str) -> str | None:
    """The name in the model's directory of a file that the library copied to its cache."""
    for root in (modules, str(directory)):
        if path.startswith(root + os.sep):
            parts = Path(path).relative_to(root).parts
            for start in range(len(parts)):
                if directory.joinpath(*parts[start:]).is_file():
                    return "/".join(parts[start:])
    return None


def _top(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    parts = Path(last.filename).parts
    at = parts.index("site-packages") + 1 if "site-packages" in parts else -1
    return f"{'/'.join(parts[at:])}:{last.lineno} {last.name}"


if __name__ == "__main__":
    main()
