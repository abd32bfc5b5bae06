"""Cases, results and reports to test with."""

from __future__ import annotations

from typing import Any

from trueup.suite.case import Case, Figure, Place, Problem, Result, State, Subject, Verdict
from trueup.suite.report import build_report
from trueup.suite.service import Service


async def passes(service: Service) -> Verdict:
    return Verdict(figures=(Figure(name="answer", value=0.5, unit="s", limit=5),))


async def fails(service: Service) -> Verdict:
    return Verdict(problem=Problem(cause="too slow", hint="use less"))


def case(identity: str, body: Any = passes, **changes: Any) -> Case:
    subject = changes.pop("subject", identity.rpartition("/")[0])
    return Case(id=identity, subject=subject, title="it works", body=body, **changes)


def subject(name: str, type: Any = "model", **changes: Any) -> Subject:
    identity = changes.pop("id", name)
    return Subject(id=identity, type=type, name=name, kind=changes.pop("kind", "chat"), **changes)


def result(identity: str, state: State = "passed", **changes: Any) -> Result:
    verdict = changes.pop("verdict", None)
    if verdict is None and state == "failed":
        verdict = Verdict(problem=Problem(cause="it broke"))
    owner = changes.pop("subject", identity.rpartition("/")[0])
    return Result(case=case(identity, subject=owner), state=state, verdict=verdict or Verdict(),
                  **changes)  # fmt: skip


def seconds(value: float, limit: float | None = None) -> Verdict:
    return Verdict(figures=(Figure(name="answer", value=value, unit="s", limit=limit),))


# What could be taken for markup in any of the forms.
ODD = 'a|b <i>"x"</i> *y* `z`\n::error::\x1b[1m ]]> é你好'


def whole_report(**changes: Any) -> dict[str, Any]:
    """A report with everything in it: each state, figures, places, details, a comparison."""
    subjects = [
        subject("glm", place="trueup.yaml:3: models.glm",
                plan={"route": "native", "implementation": "transformers.Glm", "dtype": "float32",
                      "device": "cpu"}),
        subject("talk", "role", chain=("glm", "far")),
        subject("far", "backend"),
        subject("far", "comparison", id="glm~far", chain=("glm", "far")),
    ]  # fmt: skip
    slow = Verdict(
        problem=Problem(
            cause=f"the answer took 7.0 s, expected 5 s or less; {ODD}",
            where=Place(text="/repo/p.yaml:7: prompts[1]", path="/repo/p.yaml", line=7),
            hint="use `device: cuda`",
        ),
        more=(
            Problem(
                cause="it was in French",
                where=Place(text="/repo/p.yaml:9", path="/repo/p.yaml", line=9),
            ),
        ),
        figures=(Figure(name="answer", value=7.0, unit="s", limit=5.0),),
        details={"asked": "who?", "answer": ODD},
    )
    compared = Verdict(
        details={
            "compared": ["glm", "far"],
            "prompts": [
                {
                    "id": "1",
                    "asked": "who?",
                    "answers": [
                        {"answer": "me <b>", "seconds": 1.0, "passed": True, "cause": None},
                        {"answer": None, "seconds": None, "passed": False, "cause": "it is gone"},
                    ],
                }
            ],
        }
    )
    memory = Verdict(
        figures=(
            Figure(name="host, private", value=3 * 2**30, unit="bytes", limit=4 * 2**30),
            Figure(name="device", value=-5 * 2**20, unit="bytes"),
            Figure(name="accuracy", value=0.9, unit="share", limit=0.85, is_floor=True),
            Figure(name="cosine", value=0.9999999, unit="cosine", limit=0.999, is_floor=True),
            Figure(name="met", value=3, unit="count"),
        ),
        notes=("a note",),
    )
    unable = Verdict(unable=Problem(cause="`numpy` is not installed", hint="pip install numpy"))
    results = [
        result("glm/check", seconds=0.25),
        result("glm/memory", verdict=memory),
        result("glm/answer-zh", "failed", verdict=slow, instead="`far`, which is faster"),
        result("glm/bare", "failed", verdict=Verdict(problem=Problem(cause=ODD))),
        result("far/reach", "failed"),
        result("far/x", "skipped", because="`far/reach` failed", needed="far/reach"),
        result("far/y", "skipped", because="`numpy` is not installed", verdict=unable),
        result("talk/answers", "not_run", because="the run was interrupted"),
        result("glm~far/compare", verdict=compared),
    ]
    report = build_report(
        subjects,
        results,
        started_at="2026-01-02T03:04:05+00:00",
        seconds=12.5,
        environment={"packages": {"transformers": "5.23.0"}, "python": "3.11", "config": "t.yaml"},
        is_interrupted=True,
    )
    return {**report, **changes}
