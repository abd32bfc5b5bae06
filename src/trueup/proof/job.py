"""What a child process is given to do, as JSON: which side it is, what to load, what to ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from trueup.adapt.plan import Plan
from trueup.proof.questions import Questions

# reference: as the model's author would load it; planned: as TrueUp does; digest: like planned,
# and only what lies in memory afterwards is told.
Side = Literal["reference", "planned", "digest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One load and its questions; the answers are written to `output`.

    `code` is the hash of the model's own code where a reference runs it. `asked` are answers whose
    token ids are used again, None where prompts are made of texts. `is_streamed` goes layer by
    layer.
    """

    side: Side
    plan: Plan
    dtype: str
    questions: Questions
    output: Path
    code: str | None = None
    asked: Path | None = None
    is_streamed: bool = False

    def write(self, path: Path) -> None:
        """Write it as JSON. Raises: OSError."""
        shape = {
            **asdict(self),
            "plan": self.plan.as_dict(),
            "questions": self.questions.as_dict(),
            "output": str(self.output),
            "asked": None if self.asked is None else str(self.asked),
        }
        path.write_text(json.dumps(shape), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read back what `write` wrote."""
        shape: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            **{
                **shape,
                "plan": Plan.from_dict(shape["plan"]),
                "questions": Questions.from_dict(shape["questions"]),
                "output": Path(shape["output"]),
                "asked": None if shape["asked"] is None else Path(shape["asked"]),
            }
        )
