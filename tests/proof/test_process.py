"""Children of a proof: what they meet is told, and none of them outlives who waits for it."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from trueup.adapt.plan import Memory, Plan, PlannedModel
from trueup.errors import AdaptError, CapacityError, TrueUpError
from trueup.proof import child as proof_child
from trueup.proof.answers_file import write_answers
from trueup.proof.job import Job
from trueup.proof.process import Interpreter, run_job, this_interpreter
from trueup.proof.questions import questions_for


@pytest.fixture
def job(tmp_path: Path) -> Job:
    model = PlannedModel(
        id="m", source="m", revision=None, digest="sha256:0", directory=str(tmp_path / "none")
    )
    plan = Plan(
        model=model,
        route="native",
        why=(),
        family=None,
        implementation="transformers.LlamaForCausalLM",
        kind="chat",
        dtype="float32",
        device="cpu",
        memory=Memory(weights_bytes=0, kv_bytes_per_1k_tokens=0, overhead_bytes=0),
    )
    return Job(
        side="planned",
        plan=plan,
        dtype="float32",
        questions=questions_for(64, 0, is_streamed=False),
        output=tmp_path / "answers.npz",
        asked=tmp_path / "asked.npz",
    )


def child(program: str) -> Interpreter:
    return Interpreter(command=(sys.executable, "-c", program))


def test_a_job_is_read_back_as_it_was_written(job: Job, tmp_path: Path) -> None:
    job.write(tmp_path / "job.json")

    assert Job.read(tmp_path / "job.json") == job


def test_what_a_child_meets_is_told(job: Job) -> None:
    write_answers(job.asked or Path(), {}, {})

    with pytest.raises(
        AdaptError, match="the planned model could not be asked: the directory"
    ) as met:
        run_job(job, this_interpreter(), lambda _: None)
    assert str(job.plan.model.directory) in str(met.value.where)


@pytest.mark.parametrize(
    ("program", "kind", "told"),
    [
        ("import sys; sys.exit('no such thing')", AdaptError, "with status 1: no such thing"),
        ("import os; os.kill(os.getpid(), 9)", CapacityError, "by signal 9: it said nothing"),
        ("import os; os.kill(os.getpid(), 15)", CapacityError, "by signal 15: it said nothing"),
        ("import os; os.kill(os.getpid(), 11)", AdaptError, "by signal 11: it said nothing"),
        ("pass", AdaptError, "with status 0"),
        (
            """print('{"error": "full", "is_memory": true}'); raise SystemExit(3)""",
            CapacityError,
            "could not be asked: full",
        ),
    ],
)
def test_the_end_of_a_child_is_told(
    program: str, kind: type[TrueUpError], told: str, job: Job
) -> None:
    with pytest.raises(kind, match=told) as met:
        run_job(job, child(program), lambda _: None)
    was_ended = any(word in told for word in ("signal 9", "signal 15"))
    assert ("trueup verify MODEL" in (met.value.hint or "")) == was_ended


@pytest.mark.parametrize(
    ("error", "is_capacity"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (MemoryError(), True),
        (OSError(errno.ENOENT, "No such file"), False),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_a_machine_that_is_too_small_says_nothing_of_the_model(
    error: Exception,
    is_capacity: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(proof_child, "_write", told.append)

    proof_child._tell_error(error)

    assert told[0]["is_memory"] is is_capacity


def test_progress_is_passed_on_and_other_lines_are_left_alone(job: Job) -> None:
    said: list[str] = []
    program = """print('warning'); print('{"progress": "half"}'); print('[1]'); print('3')"""

    with pytest.raises(AdaptError):
        run_job(job, child(program), said.append)

    assert said == ["half"]


def test_an_interrupt_ends_the_child(job: Job) -> None:
    program = """
import json, os, signal
print(json.dumps({"progress": str(os.getpid())}), flush=True)
signal.pause()
"""
    pids: list[int] = []

    def interrupted(text: str) -> None:
        pids.append(int(text))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, child(program), interrupted)

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_an_interpreter_that_is_none_is_told(job: Job) -> None:
    with pytest.raises(AdaptError, match="`/no/python` cannot be started: No such file"):
        run_job(job, Interpreter(command=("/no/python",)), lambda _: None)


def test_a_child_gets_no_keys(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    said: list[str] = []
    program = """
import json, os
print(json.dumps({"progress": " ".join(k for k, v in os.environ.items() if v == "secret")}))
"""

    with pytest.raises(AdaptError):
        run_job(job, child(program), said.append)

    assert said == [""]
