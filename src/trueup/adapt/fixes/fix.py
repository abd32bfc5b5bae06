"""What a fix is: a named, versioned repair of a model's own code, as an edit of its text.

The text is repaired in the folder that one process loads the model from; the model's directory,
the agreed copy and the library stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from packaging.version import Version

from trueup.adapt.fixes.source import Sources
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.code import ModelCode
from trueup.doctor.finding import Finding


@dataclass(frozen=True)
class FixFacts:
    """What fixes may look at: the checkpoint, what its code says, and for which transformers."""

    checkpoint: Checkpoint
    code: ModelCode
    transformers: Version

    def is_at_least(self, version: str) -> bool:
        """Whether the transformers is of that release or newer; candidates count as theirs."""
        return Version(self.transformers.base_version) >= Version(version)


class Fix:
    """One repair. The docstring says what breaks, `does` what the repair does.

    `answers` are the codes of the findings that it mends; a finding of such a code that it does
    not mend is told by `mends`. The doctor, who reads text, finds those of the codes `unseen` in
    repaired code as well: there the repair stands elsewhere, and the docstring says why it holds.
    `since` is the first transformers on which it is needed.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    answers: ClassVar[tuple[str, ...]]
    unseen: ClassVar[tuple[str, ...]] = ()
    does: ClassVar[str]
    since: ClassVar[str | None] = None

    @property
    def title(self) -> str:
        """Its name and version, as a plan lists it."""
        return f"{self.name}@{self.version}"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the model's code has what the fix repairs; pure."""
        raise NotImplementedError

    def mends(self, finding: Finding, facts: FixFacts) -> bool:
        """Whether the finding is gone once the fix is applied; pure."""
        return finding.code in self.answers

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Repair the text. Raises: AdaptError where it is not as `applies` found it."""
        raise NotImplementedError
