"""Asks a hub what a repository holds; where there is none, for the nearest that there is."""

from __future__ import annotations

import contextlib
from difflib import get_close_matches

from trueup.checkpoint.hub import cache
from trueup.checkpoint.hub.connection import Hub
from trueup.checkpoint.hub.faults import offline_error
from trueup.checkpoint.hub.identifier import HubId
from trueup.checkpoint.hub.listing import Listing
from trueup.checkpoint.hub.names import nearest, search_words
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.hub.work import in_parallel
from trueup.errors import HubError

LIMIT_SECONDS = 120.0
SEARCH_LIMIT_SECONDS = 15.0
SHOWN_REVISIONS = 5


def ask_listing(hub: Hub, wanted: HubId, revision: str, watch: Watch) -> Listing:
    """The files of a repository at a revision.

    Raises: HubError, with the nearest ids or the revisions that there are.
    """
    answers: list[Listing] = []
    try:
        in_parallel(
            [lambda _given_up: answers.append(hub.listing(wanted.name, revision))],
            watch,
            limit_seconds=LIMIT_SECONDS,
        )
    except HubError as error:
        if error.kind in ("missing", "revision"):
            # Not every hub says which of the two it is.
            there = [] if wanted.revision is None else _revisions(hub, wanted, watch)
            if there or error.kind == "revision":
                raise _no_revision(hub, wanted, there) from error
            error.hint = _nearest_hint(wanted.name, _found(hub, wanted.name, watch))
        raise
    return answers[0]


def not_cached(wanted: HubId) -> HubError:
    """What is said where the hub must not be asked: what else the cache has, if anything."""
    there = cache.snapshots(wanted.name)
    if there:
        return HubError(
            f"`{wanted.name}` is in the cache, but not whole at revision `{wanted.wanted}`",
            where=str(cache.repository(wanted.name)),
            kind="offline",
            hint=f"choose what is there: --revision {there[0]}",
        )
    error = offline_error(wanted.name, wanted.revision)
    near = _nearest_hint(wanted.name, [])
    error.where = str(cache.hub_cache())
    error.hint = f"{near} Else {error.hint}" if near else error.hint
    return error


def add_unreachable(error: HubError, name: str) -> None:
    """Have an error of a hub that does not answer say what is known without it."""
    error.cause += f"; `{name}` is neither a directory here nor in the cache"
    near = _nearest_hint(name, [])
    if near:
        error.hint = f"{near} Else {error.hint}" if error.hint else near


def _found(hub: Hub, name: str, watch: Watch) -> list[str]:
    """What the hub's search finds for the words of a name; nothing where it does not answer."""
    found: list[str] = []

    def search(_given_up: object) -> None:
        for words in search_words(name):
            found.extend(hub.search(words))
            if found:
                return

    with contextlib.suppress(HubError):
        in_parallel([search], watch, limit_seconds=SEARCH_LIMIT_SECONDS)
    return list(found)


def _nearest_hint(name: str, found: list[str]) -> str | None:
    near = nearest(name, found)
    return f"did you mean {_listing_words(near)}?" if near else None


def _revisions(hub: Hub, wanted: HubId, watch: Watch) -> list[str]:
    """The branches and tags of a repository; none where the hub does not tell."""
    found: list[str] = []
    with contextlib.suppress(HubError):
        in_parallel(
            [lambda _given_up: found.extend(hub.revisions(wanted.name))],
            watch,
            limit_seconds=SEARCH_LIMIT_SECONDS,
        )
    return list(found)


def _no_revision(hub: Hub, wanted: HubId, found: list[str]) -> HubError:
    near = get_close_matches(wanted.wanted, found, n=SHOWN_REVISIONS, cutoff=0.4)
    shown = near or found[:SHOWN_REVISIONS]
    return HubError(
        f"`{wanted.name}` has no revision `{wanted.wanted}`: no branch, tag or commit is called so",
        where=f"{hub.endpoint}/{wanted.name}",
        kind="revision",
        hint=f"it has {_listing_words(shown)}" if shown else None,
    )


def _listing_words(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
