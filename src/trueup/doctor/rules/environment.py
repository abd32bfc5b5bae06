"""The interpreter itself: no transformers, or one that nothing is known about yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from packaging.version import InvalidVersion, Version

from trueup.checkpoint.remote_code import REQUIREMENTS
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import WITH_REMOTE_CODE
from trueup.environment.symbols.symbols import symbols_of, versions

NO_INDEX = "lacks its index of releases (`trueup/environment/symbols/indexes/`)"


class TransformersMissing(Rule):
    """The interpreter has no transformers.

    Nothing can be loaded there: `No module named 'transformers'`.

    Install it, or name another interpreter with `--python`.
    """

    code = "ENV101"
    messages = (
        Message(
            patterns=(r"No module named '?transformers(?![\w.])",),
        ),
    )
    stage = "import"
    evidence = "index"
    blocks = ("native", "fixed")

    def check(self, facts: Facts) -> Iterable[Finding]:
        if facts.environment.transformers is None:
            python = facts.environment.python
            yield self.found(
                "transformers is not installed in this interpreter",
                where=Where(path=python),
                hint=f"{python} -m pip install transformers torch",
            )


class NewerThanKnown(Rule):
    """transformers is newer than the newest release that this version of TrueUp knows.

    What breaks there is not known yet.

    Use a newer TrueUp, which may know it, or a release that this one knows.
    """

    code = "ENV105"
    stage = "import"
    severity = "info"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        version, known = facts.environment.transformers, versions()
        if version is not None and known and version > known[-1]:
            yield self.found(
                f"transformers {version} is newer than {known[-1]}, the newest that this "
                "version of TrueUp knows: more may break than is told here",
                where=Where(path=facts.environment.python),
            )


class ReleaseNotKnown(Rule):
    """Of a release of transformers that is not here, TrueUp knows nothing, or not that very one.

    It is older than the oldest that is known, is no release, or TrueUp's index is not there. Where
    nothing is known, no finding means nothing.

    Take a release that is known, or name an interpreter
    that has it with `--python`.
    """

    code = "ENV107"
    stage = "import"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        version, known = facts.environment.transformers, versions()
        if version is None or Version(version.public) in known:
            return
        symbols = symbols_of(facts.environment)
        where = Where(path=facts.environment.python)
        nothing = f"nothing is known of transformers {version}"
        if symbols is None and known:
            yield self.found(
                f"{nothing}: it is older than {known[0]}, the oldest that this version of TrueUp "
                "knows, so what breaks there is not told",
                where=where,
                hint="name an interpreter that has it with `--python`",
            )
        elif symbols is None:
            yield self.found(f"{nothing}: this TrueUp {NO_INDEX}", where=where)
        elif not symbols.is_exact and version < known[-1]:
            yield self.found(
                f"transformers {version} is no release that this version of TrueUp knows: it is "
                f"judged by what {symbols.version} has",
                where=where,
                severity="info",
            )


# What transformers understands of a line; anything else it takes for a name.
REQUIREMENT = re.compile(r"([A-Za-z0-9_-]+)([!<>=~]+)([0-9.]+)")


class GenerateNeedsPackages(Rule):
    """The model's own function for generating asks for packages that are not here.

    `from_pretrained(…, trust_remote_code=True)` runs `custom_generate/generate.py` and refuses
    where a line of the `requirements.txt` beside it is not met: `Missing requirements in your
    local environment`.

    Install them.
    """

    code = "ENV108"
    messages = (
        Message(
            patterns=(r"Missing requirements in your local environment",),
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = WITH_REMOTE_CODE

    def check(self, facts: Facts) -> Iterable[Finding]:
        packages = facts.environment.packages
        lacking = [each for each in facts.checkpoint.requirements if not _is_met(each, packages)]
        if lacking and packages:
            listed = ", ".join(f"`{each[:60]}`" for each in lacking[:8])
            names = " ".join(f"'{each[:60]}'" for each in lacking[:8])
            finding = self.found(
                f"`{REQUIREMENTS}` asks for {listed}, which is not installed so",
                where=Where(path=REQUIREMENTS),
                hint=f"{facts.environment.python} -m pip install {names}",
            )
            yield replace(finding, exception="ImportError")


def _is_met(line: str, packages: Mapping[str, str]) -> bool:
    # Few models have such a file.
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.utils import canonicalize_name

    found = REQUIREMENT.match(line)
    version = packages.get(canonicalize_name(found[1] if found else line))
    if version is None or found is None:
        return version is not None
    try:
        return SpecifierSet(f"{found[2]}{found[3]}").contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


RULES: tuple[Rule, ...] = (
    TransformersMissing(),
    NewerThanKnown(),
    ReleaseNotKnown(),
    GenerateNeedsPackages(),
)
