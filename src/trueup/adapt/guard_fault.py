"""What a check of a loaded model found wrong; data only.

docs/guards.md says what each code means.
"""

from __future__ import annotations

from dataclasses import dataclass

TENSOR = "GUARD101"
BUFFER = "GUARD102"
NOT_FINITE = "GUARD103"
FORWARD = "GUARD104"
NOT_EVALUATING = "GUARD105"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing in a loaded model that is not as published.

    `name` is the tensor's or the module's name in the model, or what was compared in a forward
    pass; `amount` is how far off it is, in the numbers' own unit, None where that says nothing.
    `source` is the tensor's name in `file`, and `file` the weight file, where it came from one;
    `is_in_file` says that the file itself holds it.
    """

    code: str
    name: str
    what: str
    amount: float | None = None
    source: str | None = None
    file: str | None = None
    is_in_file: bool = False
