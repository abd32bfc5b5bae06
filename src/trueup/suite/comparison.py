"""Two models on the same prompts: what each answered, how long it took, who met expectations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trueup.errors import TrueUpError
from trueup.suite.case import Figure, Problem, Verdict
from trueup.suite.chat_cases import ChatMeasures
from trueup.suite.criteria import Criteria
from trueup.suite.embedding_cases import tells_apart
from trueup.suite.prompts import Prompt
from trueup.suite.service import Service


@dataclass(slots=True)
class _Side:
    """One of the two."""

    name: str
    kind: str
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def passed(self) -> set[int]:
        """The numbers of the prompts that it answered as expected."""
        return {number for number, row in enumerate(self.rows) if row["passed"]}


async def compare_chats(
    service: Service,
    names: tuple[str, str],
    kinds: tuple[str, str],
    prompts: Sequence[Prompt],
    criteria: Criteria,
) -> Verdict:
    """The second meets every prompt that the first meets."""
    one, other = (_Side(name, kind) for name, kind in zip(names, kinds, strict=True))
    for side in (one, other):  # one after the other: they may not fit into memory together
        measures = ChatMeasures(side.name, side.kind, criteria)
        for prompt in prompts:
            side.rows.append(await _row(service, measures, prompt))
    lost = sorted(one.passed - other.passed)
    figures = tuple(
        Figure(name=f"met by {side.name}", value=len(side.passed), unit="count")
        for side in (one, other)
    )
    problem = None
    if lost:
        shown = ", ".join(f"`{prompts[number].title}`" for number in lost)
        problem = Problem(
            cause=f"`{other.name}` does not meet {shown}, which `{one.name}` meets",
            hint=f"keep `{one.name}` first, or change what these prompts expect",
        )
    details = {
        "compared": [one.name, other.name],
        "prompts": [
            {
                "id": prompt.title,
                "asked": prompt.messages[-1]["content"],
                "answers": [side.rows[number] for side in (one, other)],
            }
            for number, prompt in enumerate(prompts)
        ],
    }
    return Verdict(problem=problem, figures=figures, details=details)


async def _row(service: Service, measures: ChatMeasures, prompt: Prompt) -> dict[str, Any]:
    try:
        verdict = await measures.meets(service, prompt)
    except TrueUpError as error:
        return {"answer": None, "seconds": None, "passed": False, "cause": error.cause}
    return {
        "answer": verdict.details["answer"],
        "seconds": verdict.figures[0].value,
        "passed": verdict.problem is None,
        "cause": None if verdict.problem is None else verdict.problem.cause,
    }


async def compare_embeddings(service: Service, one: str, other: str, criteria: Criteria) -> Verdict:
    """`other` tells no fewer of the same pairs rightly than `one`."""
    accuracies = []
    for name in (one, other):
        verdict = await tells_apart(service, name, criteria)
        if verdict.unable is not None or not verdict.figures:
            return verdict
        accuracies.append(verdict.figures[0].value)
    figures = (
        Figure(name=f"accuracy of {one}", value=accuracies[0], unit="share"),
        Figure(
            name=f"accuracy of {other}",
            value=accuracies[1],
            unit="share",
            limit=accuracies[0],
            is_floor=True,
        ),
    )
    problem = None
    if not figures[1].is_met:
        problem = Problem(
            cause=f"`{other}` tells {accuracies[1]:.1%} of the pairs rightly, `{one}` "
            f"{accuracies[0]:.1%}",
            hint=f"keep `{one}` first",
        )
    return Verdict(problem=problem, figures=figures, details={"compared": [one, other]})
