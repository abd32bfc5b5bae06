"""Which release of transformers, which Python and which torch an environment has. Pure.

What is expensive to know is asked only as far as it decides: whether a model's own code works with
a release (a walk of it), which interpreters PATH has (each is started).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from packaging.version import Version

from trueup.adapt.isolate.advisories import Advisory, advisories_of
from trueup.adapt.isolate.interpreters import MINORS, Interpreter
from trueup.adapt.isolate.pins import has_wheels

# A release's errors, none where the model should work with it.
Judge = Callable[[Version], Sequence[str]]
FindInterpreter = Callable[[str], Interpreter | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen; `why` says in words what decided."""

    release: Version
    interpreter: Interpreter
    shares_torch: bool
    advisories: tuple[Advisory, ...]
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoChoice:
    """Why no environment would do."""

    reason: str


def choose(
    releases: Sequence[Version],
    named: Version | None,
    home: Interpreter,
    *,
    can_share: bool,
    judge: Judge,
    find: FindInterpreter,
) -> Choice | NoChoice:
    """The best release with which the model should work and for which there is a Python.

    `named` is the release that the model's config names, `home` the interpreter whose torch can be
    shared if `can_share`. In this order:

    1. no known way to run code that loading a model can meet, or the fewest;
    2. a release that the Python of the shared torch can have;
    3. the release that the config names;
    4. the fewest known ways to run code besides;
    5. the nearest to what the config names, else the newest.
    """
    judged: dict[Version, Sequence[str]] = {}
    lacking: list[Version] = []
    for release in _in_order(releases, named, home.minor):
        judged[release] = judge(release)
        if judged[release]:
            continue
        interpreter = _interpreter(release, home, find)
        if interpreter is None:
            lacking.append(release)
            continue
        return Choice(
            release=release,
            interpreter=interpreter,
            shares_torch=can_share and interpreter.minor == home.minor,
            advisories=advisories_of(release),
            why=_why(release, named, judged),
        )
    return NoChoice(reason=_reason(lacking, judged))


def _in_order(releases: Sequence[Version], named: Version | None, minor: str) -> list[Version]:
    """The best first, by the numbers of `choose`."""
    wanted = {*releases} if named is None else {*releases, named}
    ordered = sorted(wanted)
    place = len(ordered) - 1 if named is None else ordered.index(named)

    def rank(release: Version) -> tuple[int, bool, bool, int, int, int]:
        known = advisories_of(release)
        at = ordered.index(release)
        return (
            sum(each.is_reached for each in known),  # 1
            not has_wheels(release, minor),  # 2
            release != named,  # 3
            len(known),  # 4
            abs(at - place),  # 5
            -at,
        )

    return sorted(ordered, key=rank)


def _interpreter(release: Version, home: Interpreter, find: FindInterpreter) -> Interpreter | None:
    for minor in _minors(release, home.minor):
        found = home if minor == home.minor else find(minor)
        if found is not None:
            return found
    return None


def _minors(release: Version, home: str) -> Iterator[str]:
    """Pythons that a release can have: the one whose torch is here, then the newest."""
    fitting = [minor for minor in MINORS if has_wheels(release, minor)]
    if home in fitting:
        yield home
    yield from (minor for minor in reversed(fitting) if minor != home)


def _why(
    release: Version, named: Version | None, judged: dict[Version, Sequence[str]]
) -> tuple[str, ...]:
    if release == named:
        return (f"its config names transformers {release}, with which it should work",)
    words = f"transformers {release} is a release with which it should work"
    if named is None:
        return (words,)
    if judged.get(named):
        met = ", ".join(dict.fromkeys(judged[named]))
        return (f"{words}; with {named}, which its config names, it meets {met}",)
    ids = ", ".join(each.id for each in advisories_of(named) if each.is_reached)
    better = f"has {ids}" if ids else "has no wheels for the Python of the installed torch"
    return (f"{words}; {named}, which its config names, {better}",)


def _reason(lacking: Sequence[Version], judged: dict[Version, Sequence[str]]) -> str:
    if lacking:
        oldest, newest = min(lacking), max(lacking)
        minors = [m for m in MINORS if any(has_wheels(release, m) for release in lacking)]
        span = f"{oldest}" if oldest == newest else f"{oldest} to {newest}"
        if not minors:
            return f"transformers {span}, with which it should work, has wheels for no Python here"
        needed = " or ".join(f"`python{minor}`" for minor in minors)
        return (
            f"transformers {span}, with which it should work, needs {needed}, and PATH has none "
            "that runs"
        )
    met = list(dict.fromkeys(code for codes in judged.values() for code in codes))
    return "it should work with no known release of transformers: it meets " + ", ".join(met[:8])
