"""The profile of a server, and the list of a server's backends, as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueup.backends.probe_profile import NOT_VISIBLE, Profile

COLUMNS = ("NAME", "KIND", "MODEL", "STATE", "BREAKER", "VERSION", "URL")
MAX_LISTED = 8
GROUPS = ("server", "stream", "tools", "parameters", "continuation", "errors")


def profile_lines(profile: Profile) -> Iterator[str]:
    """The profile, its entry of the config at the end."""
    yield f"{profile.name}  {profile.url}"
    yield from _server_lines(profile)
    for group in GROUPS:
        rows = [row for row in profile.rows if row[0] == group]
        if not rows:
            continue
        if group != "server":
            yield ""
            yield group
        for _, name, seen in rows:
            yield f"  {name:<28} {seen.verdict:<10} {seen.text}"
    if profile.kind is None:
        return
    yield ""
    yield "latency"
    yield from _latency_lines(profile)
    yield ""
    yield f"{NOT_VISIBLE}."
    yield f"{profile.requests} requests in {profile.seconds:.1f} s. For the configuration:"
    yield ""
    yield from profile.entry_yaml().splitlines()


def _server_lines(profile: Profile) -> Iterator[str]:
    if not profile.is_reachable:
        return
    yield f"  {'key':<28} {profile.key}"
    make = " ".join(word for word in (profile.server, profile.version) if word) or "not stated"
    guess = ", by its answers" if profile.is_preset_guessed else ""
    yield f"  {'server':<28} {make} (preset {profile.preset}{guess})"
    names = ", ".join(profile.models[:MAX_LISTED]) or "none listed"
    more = len(profile.models) - MAX_LISTED
    yield f"  {'models':<28} {names}{f' and {more} more' if more > 0 else ''}"
    if profile.model is not None:
        others = len(profile.models) > 1
        hint = "  (--model NAME asks another)" if others else ""
        yield f"  {'asked':<28} {profile.model}{hint}"


def _latency_lines(profile: Profile) -> Iterator[str]:
    stream = profile.stream
    for name, seconds in (
        ("connect", profile.connect_seconds),
        ("first token", stream.first_token_seconds if stream else None),
        ("between tokens", stream.token_seconds if stream else None),
        ("whole answer", profile.answer_seconds),
    ):
        if seconds is not None:
            yield f"  {name:<28} {seconds * 1000:.1f} ms"


def backend_lines(server: Mapping[str, Any]) -> Iterator[str]:
    """The backends of one server and what was learned of them."""
    rows = [COLUMNS, *(_row(backend) for backend in server["backends"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    yield str(server["url"])
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
    for backend in server["backends"]:
        if backend.get("state") == "failed" and (why := backend.get("last_error")):
            named = f"`{backend['name']}` "
            yield f"{backend['name']}: {str(why).removeprefix(named)}"
        for lesson in backend.get("lessons") or ():
            yield f"{backend['name']}: does not take `{lesson['parameter']}` ({_times(lesson)})"


def _row(backend: Mapping[str, Any]) -> Sequence[str]:
    keys = ("name", "kind", "model", "state", "breaker", "version", "url")
    return tuple(str(backend.get(key) or "-") for key in keys)


def _times(lesson: Mapping[str, Any]) -> str:
    age, left = lesson.get("age_seconds"), lesson.get("expires_in_seconds")
    words = [] if age is None else [f"learned {_duration(age)} ago"]
    words += [] if left is None else [f"forgotten in {_duration(left)}"]
    return ", ".join(words) or "learned"


def _duration(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
