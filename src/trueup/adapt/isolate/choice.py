"""Which release of transformers, which Python and which torch an environment has. Pure.

What is expensive to know is asked only as far as it decides: whether a model's own code works with
a release (a walk of it), which interpreters PATH has (each is started).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from packaging.version import Version

from trueup.adapt.isolate.advisories import Advisory, advisories_of
from trueup.adapt.isolate.interpreters import MINORS, Interpreter
from trueup.adapt.isolate.pins import has_wheels

# A release's errors, none where the model should work with it.
Judge = Callable[[Version], Sequence[str]]
FindInterpreter = Callable[[str], Interpreter | None]
# Of releases that are as good as each other so many are passed over at first.
APART = 4


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
    """Why no environment would do; `errors` are those of all releases that were judged."""

    reason: str
    errors: Mapping[Version, Sequence[str]]


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
    2. no known way to run code besides, or the fewest;
    3. a release that the Python of the shared torch can have;
    4. the release that the config names;
    5. the nearest to what the config names, else the newest.

    What differs in the last point alone is looked at in steps first, and then between two of them
    only where they do not fail for a common reason.
    """
    judged = _Judged(home, judge, find)
    groups = _in_order(releases, named, home.minor)
    found = (release for group in groups if (release := judged.first(group)) is not None)
    release = next(found, None)
    if release is None:
        return NoChoice(reason=_reason(judged), errors=judged.errors)
    interpreter = judged.interpreters[release]
    return Choice(
        release=release,
        interpreter=interpreter,
        shares_torch=can_share and interpreter.minor == home.minor,
        advisories=advisories_of(release),
        why=_why(release, named, judged.errors),
    )


class _Judged:
    """What was asked about releases, each once."""

    def __init__(self, home: Interpreter, judge: Judge, find: FindInterpreter) -> None:
        self._home, self._judge, self._find = home, judge, find
        self.errors: dict[Version, Sequence[str]] = {}
        self.interpreters: dict[Version, Interpreter] = {}
        self._found: dict[str, Interpreter | None] = {home.minor: home}

    def first(self, group: Sequence[Version]) -> Version | None:
        """The first with which the model should work and for which there is a Python."""
        for place in range(0, len(group), APART):
            if self._will_do(group[place]):
                before = group[max(0, place - APART + 1) : place]
                return next(filter(self._will_do, before), group[place])
        return next(
            (each for each in group if not self._is_told(each) and self._will_do(each)), None
        )

    def _is_told(self, release: Version) -> bool:
        """Whether the nearest that were judged, one older and one newer, fail for one reason.

        What a release breaks stays broken until a later one mends it.
        """
        older = max((each for each in self.errors if each < release), default=None)
        newer = min((each for each in self.errors if each > release), default=None)
        if older is None or newer is None:
            return False
        return not set(self.errors[older]).isdisjoint(self.errors[newer])

    def lacking(self) -> list[Version]:
        """Those with which the model should work and for which there is no Python."""
        return [
            release
            for release, errors in self.errors.items()
            if not errors and release not in self.interpreters
        ]

    def _will_do(self, release: Version) -> bool:
        if release not in self.errors:
            self.errors[release] = self._judge(release)
            interpreter = None if self.errors[release] else self._interpreter(release)
            if interpreter is not None:
                self.interpreters[release] = interpreter
        return release in self.interpreters

    def _interpreter(self, release: Version) -> Interpreter | None:
        """The Python whose torch is here, else the newest, of those that a release can have."""
        fitting = [minor for minor in MINORS if has_wheels(release, minor)]
        for minor in sorted(fitting, key=lambda each: (each != self._home.minor, -int(each[2:]))):
            if minor not in self._found:
                self._found[minor] = self._find(minor)
            found = self._found[minor]
            if found is not None:
                return found
        return None


def _in_order(
    releases: Sequence[Version], named: Version | None, minor: str
) -> list[list[Version]]:
    """The best first, by the numbers of `choose`; a list for all that differ in the last alone."""
    ordered = sorted({*releases} if named is None else {*releases, named})
    place = len(ordered) - 1 if named is None else ordered.index(named)

    def rank(release: Version) -> tuple[int, int, bool, bool]:
        known = advisories_of(release)
        return (
            sum(each.is_reached for each in known),  # 1
            len(known),  # 2
            not has_wheels(release, minor),  # 3
            release != named,  # 4
        )

    nearest = sorted(ordered, key=lambda each: abs(ordered.index(each) - place))  # 5
    return [list(group) for _, group in groupby(sorted(nearest, key=rank), key=rank)]


def _why(
    release: Version, named: Version | None, judged: Mapping[Version, Sequence[str]]
) -> tuple[str, ...]:
    if release == named:
        return (f"its config names transformers {release}, with which it should work",)
    words = f"transformers {release} is a release with which it should work"
    if named is None:
        return (words,)
    if judged.get(named):
        met = ", ".join(dict.fromkeys(judged[named]))
        return (f"{words}; with {named}, which its config names, it meets {met}",)
    worse = [each for each in advisories_of(named) if each not in advisories_of(release)]
    reached = [each for each in worse if each.is_reached]
    ids = ", ".join(each.id for each in reached or worse)
    better = f"has {ids}" if ids else "has no wheels for the Python of the installed torch"
    return (f"{words}; {named}, which its config names, {better}",)


def _reason(judged: _Judged) -> str:
    lacking = judged.lacking()
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
    if len(judged.errors) == 1:
        return f"it should not work with transformers {next(iter(judged.errors))}"
    return "it should work with no known release of transformers"
