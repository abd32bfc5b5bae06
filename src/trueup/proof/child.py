"""`python -m trueup.proof.child JOB.json`: loads one side, asks it, writes its answers.

Runs in this interpreter or in another one with older libraries. Lines of JSON on stdout tell how
far it is; the last one tells an error. It may write to its output's folder alone and has no
network, as far as the system grants that.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import platform
import signal
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

from trueup.errors import CapacityError
from trueup.proof.job import Job

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "sentencepiece",
    "tiktoken",
    "safetensors",
    "numpy",
)
FAILED = 3
FULL = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)


def main(arguments: list[str]) -> int:
    """Carry out one job; 0, or 3 for an error that was told."""
    job = Job.read(Path(arguments[0]))
    _confine(job.output.resolve().parent)
    try:
        run(job)
    except Exception as error:
        # The code of a model may raise anything.
        _tell_error(error)
        return FAILED
    return 0


def run(job: Job) -> None:
    """Load, ask, write."""
    from trueup.proof.answers_file import read_answers, write_answers

    say("loading")
    asked = None if job.asked is None else read_answers(job.asked).arrays
    facts: dict[str, Any] = {"side": job.side, "dtype": job.dtype, "versions": versions()}
    arrays: dict[str, Any] = {}
    subject = _subject(job, facts)
    if job.side != "digest":
        from trueup.proof.answering import answer, is_stepped, token_facts
        from trueup.proof.answering_embedding import answer_embedding

        facts["tokens"] = token_facts(subject)
        facts["questions"] = job.questions.as_dict()
        embedding = job.plan.embedding
        if embedding is None:
            facts["is_stepped"] = is_stepped(subject)
            arrays = answer(subject, job.questions, asked, say)
        else:
            arrays = answer_embedding(subject, job.questions, asked, say, embedding.pooling)
        if job.is_streamed:
            from trueup.proof.streamed import layers_of

            arrays |= layers_of(subject.model)
    facts["peak_bytes"] = peak_bytes()
    write_answers(job.output, arrays, facts)


def _subject(job: Job, facts: dict[str, Any]) -> Any:
    """The loaded side; what was found in its memory is added to `facts`."""
    if job.is_streamed:
        from trueup.proof.streamed import load_streamed

        return load_streamed(job)
    from trueup.proof.inspection import inspect_model
    from trueup.proof.subject import load_subject

    def inspect(model: Any) -> None:
        if job.side != "digest":
            say("comparing every tensor with its file")
            facts["inspection"] = inspect_model(model, job)
        if job.side != "reference":
            facts["memory_digest"] = memory_digest(model)

    return load_subject(job, lambda share: say(f"loading: {share:.0%}"), inspect)


def memory_digest(model: Any) -> str:
    """`sha256:…` over every parameter and buffer as it lies in memory."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(memoryview(flat.view(torch.uint8).numpy()))
    return f"sha256:{digest.hexdigest()}"


def peak_bytes() -> int | None:
    """The most memory that this process had, mapped files included; None where nobody tells.

    Not getrusage's, which begins with that of whoever started it.
    """
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def versions() -> dict[str, str | None]:
    """Python and the packages that take part, None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def say(text: str) -> None:
    """Tell how far the work is."""
    _write({"progress": text})


def _tell_error(error: Exception) -> None:
    frame = (traceback.extract_tb(error.__traceback__) or [None])[-1]
    told = getattr(error, "cause", None)
    _write(
        {
            "error": told or f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
            "where": getattr(error, "where", None)
            or (f"{frame.filename}:{frame.lineno}" if frame else None),
            "hint": getattr(error, "hint", None),
            "is_memory": _is_capacity(error),
        }
    )
    traceback.print_exception(error)


def _is_capacity(error: Exception) -> bool:
    """Whether the machine was too small, which says nothing of the model."""
    if isinstance(error, OSError):
        return error.errno in FULL
    # torch has a class for GPUs and for CPUs words alone.
    is_torch = type(error).__name__ == "OutOfMemoryError" or "t allocate memory" in str(error)
    return is_torch or isinstance(error, CapacityError | MemoryError)


def _write(shape: dict[str, Any]) -> None:
    sys.__stdout__.write(f"{json.dumps(shape)}\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def _confine(folder: Path) -> None:
    from trueup.worker.confinement import confine, die_with_parent

    # What the model's code prints is no report of ours.
    sys.stdout = sys.stderr
    confine(folder)
    die_with_parent(signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
