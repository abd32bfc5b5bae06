"""What could take the place of a model that failed: from what passed beside it, and its plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueup.suite.case import Result, Subject

CPU = "cpu"
SLOW_KEYS = ("answer-", "begin-")
FIRST_KEYS = ("check", "load", "reach")
SIMILARITY_MODEL = "microsoft/unixcoder-base"


class Proposals:
    """Proposes by the results of the whole run."""

    def __init__(self, subjects: Sequence[Subject], results: Sequence[Result]) -> None:
        self._subjects = {each.id: each for each in subjects}
        self._results = results
        has_loaded = any(each.case.key == "load" for each in results)
        self._first_keys = {"load", "reach"} if has_loaded else {"check"}

    def instead_of(self, failed: Result) -> str | None:
        """What to use instead, where anything is known to help.

        1. Another in the same chain that passed the same case. 2. What the model's own plan
        leaves open: a route, a type, a device. 3. Another model of the run that passed all.
        """
        subject = self._subjects[failed.case.subject]
        return (
            self._in_chain(failed, subject)
            or _other_way(failed, subject)
            or self._elsewhere(failed, subject)
        )

    def _in_chain(self, failed: Result, subject: Subject) -> str | None:
        for role in self._subjects.values():
            if role.type != "role" or subject.name not in role.chain:
                continue
            others = [
                name
                for name in role.chain
                if name != subject.name and self._passes(failed, role.name, name)
            ]
            if others:
                best = min(others, key=lambda name: self._shortcomings(role.name, name))
                chain = ", ".join((best, *(each for each in role.chain if each != best)))
                return (
                    f"`{best}`, which is in the chain of `{role.name}` too and passes this: "
                    f"`chain: [{chain}]`"
                )
        return None

    def _passes(self, failed: Result, role: str, name: str) -> bool:
        """Whether a member of a chain passed the same, or answers at all where that failed."""
        keys = self._first_keys if failed.case.key in FIRST_KEYS else None
        prefix = name if keys or failed.case.subject == name else f"{role}/{name}"
        wanted = {f"{prefix}/{key}" for key in keys or {failed.case.key}}
        return any(each.case.id in wanted and each.state == "passed" for each in self._results)

    def _shortcomings(self, role: str, name: str) -> int:
        own = (name, f"{role}/{name}")
        return sum(each.case.subject in own and each.state != "passed" for each in self._results)

    def _elsewhere(self, failed: Result, subject: Subject) -> str | None:
        if failed.case.key == "similarity":
            if subject.source == SIMILARITY_MODEL:
                return None
            return f"`{SIMILARITY_MODEL}`, which was trained so that code that is alike is near"
        if failed.case.key not in FIRST_KEYS:
            return None
        for other in self._subjects.values():
            is_like = other.kind == subject.kind and other.name != subject.name
            if other.type in ("model", "backend") and is_like and self._all_pass(other):
                return f"`{other.name}`, which is {other.kind} too and passed everything here"
        return None

    def _all_pass(self, other: Subject) -> bool:
        states = [
            each.state
            for each in self._results
            if self._subjects[each.case.subject].name == other.name
        ]
        return bool(states) and set(states) == {"passed"}


def _other_way(failed: Result, subject: Subject) -> str | None:
    plan: Mapping[str, Any] = subject.plan or {}
    key = failed.case.key
    if key == "check" and any("`--route auto`" in each for each in plan.get("why", ())):
        return "the native route: `route: auto`"
    if plan.get("device") != CPU:
        return None
    if key == "embedding" and plan.get("dtype") != "int8":
        return "the same model in int8: `dtype: int8`"
    is_late = any(each.unit == "s" and not each.is_met for each in failed.verdict.figures)
    is_answer = key.startswith(SLOW_KEYS) or "/" in key  # a prompt's key has its file's name
    if is_late and is_answer:
        return "the same model on a GPU (`device: cuda`), or a smaller one"
    return None
