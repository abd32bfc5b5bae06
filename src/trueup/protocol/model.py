"""A row of `/v1/models` and the list around the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ModelStateName = Literal["stopped", "starting", "ready", "stopping", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One served model; `plan` is `Plan.as_dict()`, None where others run the model."""

    id: str
    kind: str
    state: ModelStateName
    plan: Mapping[str, Any] | None = None
    created: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The row in OpenAI's shape with our own part under `trueup`."""
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": "trueup",
            "trueup": {"kind": self.kind, "state": self.state, "plan": self.plan},
        }


def model_list(rows: Sequence[ModelRow]) -> dict[str, Any]:
    """The body of `/v1/models`."""
    return {"object": "list", "data": [row.as_dict() for row in rows]}
