"""The id of a model on a hub, `org/name@revision`, told from the name of a path."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trueup.checkpoint.hub.service import current
from trueup.errors import CheckpointError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
NAME_CHARACTERS = 96  # the hubs' own limit
REVISION = re.compile(r"[^\s@~^:?*\[\\\0]+")
# What a browser shows of a repository, with a file or a revision of it.
ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?:(?:huggingface\.co|hf\.co|hf-mirror\.com)/"
    r"|modelscope\.(?:cn|ai)/models/)(?P<name>[^/?#]+/[^/?#]+)"
    r"(?:/(?:tree|blob|resolve|summary|files)(?:/(?P<revision>[^/?#]+))?)?(?:[/?#].*)?",
    re.IGNORECASE,
)
NO_OWNERS = ("datasets", "spaces", "api", "docs", "models", "papers", "collections")
COMMIT = re.compile(r"[0-9a-f]{40}")
COMMIT_BEGINNING = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubId:
    """A repository and what is wanted of it: a branch, a tag, a commit, or None for the default."""

    name: str
    revision: str | None

    @property
    def wanted(self) -> str:
        """The revision that is looked for."""
        return self.revision or current().default_revision


def parse(model: str, revision: str | None = None) -> HubId | None:
    """The hub id in `model`, None where it cannot be one.

    Raises: CheckpointError where two revisions are asked for.
    """
    name, at, named = model.partition("@")
    if len(name) > NAME_CHARACTERS or NAME.fullmatch(name) is None:
        return None
    if ".." in name or "--" in name or name.endswith((".", "-", ".git")):
        return None
    if at and not _is_revision(named):
        return None
    if at and revision is not None and revision != named:
        raise CheckpointError(
            f"two revisions of one model: `{named}` and `{revision}`",
            where="--revision",
            hint=f"leave one of them out: `{name}@{revision}`",
        )
    return HubId(name=name, revision=named if at else revision)


def of_address(text: str) -> str | None:
    """The id in the address of a model's page, with its revision; None for any other text."""
    found = ADDRESS.fullmatch(text.strip())
    if found is None or found["name"].partition("/")[0].lower() in NO_OWNERS:
        return None
    revision = found["revision"]
    name = found["name"] if revision in (None, "main", "master") else f"{found['name']}@{revision}"
    return name if parse(name) is not None else None


def _is_revision(text: str) -> bool:
    return REVISION.fullmatch(text) is not None and ".." not in text
