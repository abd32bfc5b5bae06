"""The model's own code as text: comparisons of versions that go wrong."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from trueup.checkpoint.checkpoint import RemoteModule
from trueup.doctor.finding import Finding, Where
from trueup.doctor.rule import Facts, Rule

# A minor number alone said enough as long as this was the major one.
FIRST_MAJOR = {"transformers": 4, "torch": 1}
VERSION, RELEASE = "__version__", "release"


class MinorComparedAlone(Rule):
    """The model's code compares the minor number of a version and never looks at the major one.

    `int(transformers.__version__.split(".")[1]) >= 36` was true of every release after 4.36 until
    5.0.0 came, of which it is false; with torch the same happened at 2.0. The code then takes a
    path that was written for older releases.

    Compare whole versions: `version.parse(transformers.__version__) >= version.parse("4.36")`.
    """

    code = "CODE102"
    stage = "import"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        for path, module in facts.code.modules.items():
            for library, line in _minors_alone(module):
                version = _version_of(facts, library)
                if version is not None and version.major > FIRST_MAJOR[library]:
                    yield self.found(
                        f"the minor number of {library} is compared alone, and {library} "
                        f"{version} begins with {version.major}",
                        where=Where(path=path, line=line),
                        hint=f"compare `version.parse({library}.__version__)` as a whole",
                    )
                    break


@dataclass(frozen=True, slots=True)
class _Part:
    """A number that is taken out of a version: its place and the library."""

    library: str
    place: int
    line: int


@functools.lru_cache(maxsize=256)
def _minors_alone(module: RemoteModule) -> tuple[tuple[str, int], ...]:
    parts = list(_parts(module))
    found = []
    for library in FIRST_MAJOR:
        places = [part for part in parts if part.library == library]
        if places and all(part.place == 1 for part in places):
            found.append((library, places[0].line))
    return tuple(found)


def _parts(module: RemoteModule) -> Iterator[_Part]:
    if module.tree is None or VERSION not in module.source:
        return
    names = {
        alias.asname or alias.name: node.module
        for node in module.nodes
        if isinstance(node, ast.ImportFrom) and node.module in FIRST_MAJOR
        for alias in node.names
        if alias.name == VERSION
    }
    indexed = {id(node.value) for node in module.nodes if isinstance(node, ast.Subscript)}
    for node in module.nodes:
        if id(node) in indexed:  # of which the index tells the number
            continue
        is_release = isinstance(node, ast.Subscript) and getattr(node.value, "attr", "") == RELEASE
        library = _library_of(node.value if is_release else node, names)  # type: ignore[attr-defined]
        if library is None:
            continue
        if isinstance(node, ast.Subscript):
            index = node.slice
            place = index.value if isinstance(index, ast.Constant) else 0
            yield _Part(library, place if isinstance(place, int) else 0, node.lineno)
        elif isinstance(node, ast.Attribute) and node.attr in ("major", "minor", RELEASE):
            yield _Part(library, int(node.attr == "minor"), node.lineno)


def _library_of(node: ast.AST, names: Mapping[str, str | None]) -> str | None:
    """The library whose version a subscript or attribute takes apart; None for anything else."""
    if not isinstance(node, ast.Subscript | ast.Attribute):
        return None
    value = node.value
    while isinstance(value, ast.Call):
        is_split = isinstance(value.func, ast.Attribute) and value.func.attr == "split"
        value = value.func.value if is_split else (value.args[0] if value.args else value.func)  # type: ignore[attr-defined]
    if isinstance(value, ast.Attribute) and value.attr == VERSION:
        owner = value.value
        is_known = isinstance(owner, ast.Name) and owner.id in FIRST_MAJOR
        return owner.id if is_known and isinstance(owner, ast.Name) else None
    return names.get(value.id) if isinstance(value, ast.Name) else None


def _version_of(facts: Facts, library: str) -> Version | None:
    try:
        return Version(facts.environment.packages[library])
    except (KeyError, InvalidVersion):
        return None


RULES: tuple[Rule, ...] = (MinorComparedAlone(),)
