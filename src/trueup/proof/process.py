"""Starts the child process of one job in this interpreter or in another, and waits for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trueup
from trueup.adapt.isolate.store import note_use
from trueup.adapt.plan import Plan
from trueup.errors import AdaptError, CapacityError, TrueUpError
from trueup.pool.scrub import worker_environment
from trueup.proof.answers_file import Answers, read_answers
from trueup.proof.job import Job

MODULE = "trueup.proof.child"
STDERR_LINES = 12
END_SECONDS = 5.0
# By the system where memory runs out, or by somebody: it says nothing of the model.
ENDED_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """How a child is started: its words before the job's path, and variables beside the usual."""

    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


def this_interpreter() -> Interpreter:
    """The running one."""
    return Interpreter(command=(sys.executable, "-m", MODULE))


def other_interpreter(python: Path, folder: Path) -> Interpreter:
    """Another one, which gets our package and nothing else of ours by a link in `folder`.

    It may be that of an environment of ours, which counts as a use.
    """
    note_use(python.absolute())
    place = folder / "package"
    place.mkdir(exist_ok=True)
    link = place / "trueup"
    if not link.is_symlink():
        link.symlink_to(Path(trueup.__file__).resolve().parent)
    return Interpreter(
        command=(str(python.absolute()), "-s", "-m", MODULE), variables={"PYTHONPATH": str(place)}
    )


def planned_interpreter(plan: Plan, folder: Path) -> Interpreter:
    """The one that would serve the plan: this one, or that of an isolated plan's environment.

    Raises: AdaptError where that is not built.
    """
    if plan.route != "isolated":
        return this_interpreter()
    environment = plan.environment or {}
    python = environment.get("interpreter")
    if python is None:
        raise AdaptError(
            "the environment of the plan is not built yet",
            where=plan.model.directory,
            hint=environment.get("command"),
        )
    return other_interpreter(Path(python), folder)


def run_job(job: Job, interpreter: Interpreter, say: Callable[[str], None]) -> Answers:
    """Run a job to its end; `say` is told how far it is.

    The child ends with this process, and when waiting for it is interrupted.

    Raises: AdaptError with what the child met; CapacityError where the machine is too small;
    CheckpointError for answers that cannot be read.
    """
    folder = job.output.parent
    path = job.output.with_suffix(".json")
    job.write(path)
    told: dict[str, Any] = {}
    with (job.output.with_suffix(".log")).open("w+b") as stderr:
        try:
            child = subprocess.Popen(
                [*interpreter.command, str(path)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env=_environment(folder, interpreter),
                text=True,
                start_new_session=True,  # an interrupt reaches us alone, and we end it
            )
        except OSError as error:
            raise AdaptError(
                f"`{interpreter.command[0]}` cannot be started: {error.strerror}",
                where=interpreter.command[0],
            ) from error
        try:
            for line in child.stdout or ():
                told = _report(line, say) or told
            status = child.wait()
        finally:
            _end(child)
        if status != 0 or not job.output.exists():
            raise _failure(job, status, told, stderr.name)
    return read_answers(job.output)


def _report(line: str, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The error that a line tells; progress is passed on, anything else is left alone."""
    try:
        shape = json.loads(line)
    except ValueError:
        return None
    if not isinstance(shape, dict):
        return None
    if "progress" in shape:
        say(str(shape["progress"]))
    return shape if "error" in shape else None


def _end(child: subprocess.Popen[str]) -> None:
    if child.stdout is not None:
        child.stdout.close()
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _failure(job: Job, status: int, told: Mapping[str, Any], log: str) -> TrueUpError:
    """What a child met; CapacityError where the machine was too small for it, or it was ended."""
    side = "the reference" if job.side == "reference" else "the planned model"
    if told:
        kind = CapacityError if told.get("is_memory") else AdaptError
        return kind(
            f"{side} could not be asked: {told['error']}",
            where=told.get("where"),
            hint=told.get("hint"),
        )
    ended = f"by signal {-status}" if status < 0 else f"with status {status}"
    with open(log, encoding="utf-8", errors="replace") as file:
        words = "".join(deque(file, maxlen=STDERR_LINES)).strip()
    cause = f"the process of {side} ended {ended}: {words or 'it said nothing'}"
    if -status not in ENDED_FROM_OUTSIDE:
        return AdaptError(cause)
    hint = "once more: trueup verify MODEL"
    if -status == signal.SIGKILL:
        hint = (
            "where nobody did that, memory ran out: free some, or take less of it: "
            "trueup verify MODEL --memory-gb GB"
        )
    return CapacityError(cause, hint=hint)


def _environment(folder: Path, interpreter: Interpreter) -> dict[str, str]:
    """What a worker would get, and everything that libraries write in the job's folder."""
    return {
        **worker_environment(os.environ),
        "TMPDIR": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HF_HOME": str(folder / "huggingface"),
        "HF_MODULES_CACHE": str(folder / "modules"),
        "TRUEUP_HOME": os.environ.get("TRUEUP_HOME", ""),
        **interpreter.variables,
    }
