"""Releases of transformers in which somebody else's files can run code, as data.

An environment for a model avoids them wherever another release will do; where none will, the plan
says which remain and why they matter.
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


# Left out: what only a torch before 2.6 has (CVE-2026-1839), since no environment has one.
ADVISORIES = (
    Advisory(
        id="CVE-2026-4372",
        since="4.54.0",  # published as 4.56.0; seen with releases on both sides
        until="5.3.0",
        reason="`_attn_implementation_internal` in config.json names code of the hub that is "
        "downloaded and run",
        is_reached=True,
    ),
    Advisory(
        id="CVE-2026-5241",
        since="4.53.0",  # the first with LightGlue
        until="5.5.0",  # published as 5.3.0; seen with releases on both sides
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
)  # fmt: skip


def advisories_of(version: Version) -> tuple[Advisory, ...]:
    """What is known against a release, what a worker can meet first."""
    return tuple(each for each in ADVISORIES if each.holds_in(version))
