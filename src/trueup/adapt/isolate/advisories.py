"""Releases of transformers in which somebody else's files can run code, as data.

An environment for a model avoids them wherever another release will do; where none will, the plan
says which remain and why they matter.

The ranges are those of GitHub's advisories: GHSA-29pf-2h5f-8g72 (CVE-2026-4372),
GHSA-fgcw-684q-jj6r (CVE-2026-5241), GHSA-v68g-wm8c-6x7j (CVE-2023-7018), GHSA-37q5-v5qm-c9v8
(CVE-2024-3568), GHSA-3863-2447-669p (CVE-2023-6730), GHSA-qxrp-vhvm-j765, GHSA-wrfc-pvp9-mr9g and
GHSA-hxxf-235m-72v3 (CVE-2024-11392 to 11394). Those of 2026 are said to begin with the first
release ever: there `since` is the first one that has the code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from packaging.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """A known way to run code: in the releases from `since` (None: all) to before `until`.

    `is_reached` says whether loading a checkpoint can come there; the others are in parts that a
    worker never uses, and only break a tie.
    """

    id: str
    since: str | None
    until: str
    reason: str
    is_reached: bool

    def holds_in(self, version: Version) -> bool:
        """Whether that release has it."""
        release = Version(version.base_version)
        return (self.since is None or release >= Version(self.since)) and release < Version(
            self.until
        )

    def as_dict(self) -> dict[str, Any]:
        """The advisory in the plan's JSON shape."""
        return asdict(self)


# Left out: what only a torch before 2.6 has (CVE-2026-1839), since no environment has one; scripts
# that convert other projects' checkpoints and that no release mends (CVE-2025-14920 to 14930); and
# what writes files and runs none of them (CVE-2026-9856 at saving, CVE-2026-80047 with a network).
ADVISORIES = (
    Advisory(
        id="CVE-2026-4372",
        since="4.54.0",  # reported as 4.56.0; seen with releases on both sides
        until="5.3.0",
        reason="`_attn_implementation_internal` in config.json names code of the hub that is "
        "downloaded and run",
        is_reached=True,
    ),
    Advisory(
        id="CVE-2026-5241",
        since="4.53.0",  # the first with LightGlue
        until="5.5.0",  # PYSEC-2026-2290 says 5.2.0; seen with releases on both sides
        reason="the config of a LightGlue model switches `trust_remote_code` on",
        is_reached=True,
    ),
    Advisory(
        id="CVE-2023-7018",
        since=None,
        until="4.36.0",
        reason="a tokenizer_config.json that names Transformer-XL has `vocab.pkl` unpickled",
        is_reached=True,
    ),
    Advisory(
        id="CVE-2024-3568",
        since=None,
        until="4.38.0",
        reason="TensorFlow models unpickle a training state in `load_repo_checkpoint`",
        is_reached=False,
    ),
    Advisory(
        id="CVE-2023-6730",
        since=None,
        until="4.36.0",
        reason="RagRetriever unpickles an index",
        is_reached=False,
    ),
    *(
        Advisory(
            id=f"CVE-2024-{number}",
            since=None,
            until="4.48.0",  # the first whose wheel lacks the scripts
            reason=f"the script that converts {kind} checkpoints unpickles what it is given",
            is_reached=False,
        )
        for number, kind in ((11392, "MobileViTV2"), (11393, "MaskFormer"), (11394, "Trax"))
    ),
)  # fmt: skip


def advisories_of(version: Version) -> tuple[Advisory, ...]:
    """What is known against a release, what a worker can meet first."""
    return tuple(each for each in ADVISORIES if each.holds_in(version))
