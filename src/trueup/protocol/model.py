"""A row of `/v1/models` and the list around the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ModelStateName = Literal["stopped", "starting", "ready", "stopping", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One served name; `plan` is `Plan.as_dict()`, None where others run the model.

    A role tells its chain, who of it answers now, and what is asked of it; an alias tells whose
    other name it is. `state` is that of the model which would answer.
    """

    id: str
    kind: str
    state: ModelStateName
    plan: Mapping[str, Any] | None = None
    role: Mapping[str, Any] | None = None
    alias_of: str | None = None
    created: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The row in OpenAI's shape with our own part under `trueup`."""
        own: dict[str, Any] = {"kind": self.kind, "state": self.state, "plan": self.plan}
        if self.role is not None:
            own["role"] = self.role
        if self.alias_of is not None:
            own["alias_of"] = self.alias_of
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": "trueup",
            "trueup": own,
        }


def model_list(rows: Sequence[ModelRow]) -> dict[str, Any]:
    """The body of `/v1/models`."""
    return {"object": "list", "data": [row.as_dict() for row in rows]}
