"""Files that run code when they are merely loaded."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.checkpoint.dangerous_keys import INTERNAL_ATTENTION, TRUST, dangerous_keys
from trueup.doctor.finding import Finding, Where
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE, ProblemRule


class UnsafePickle(ProblemRule):
    """The pickled weights name functions that plain weights do not need.

    Unpickling would call what the file chooses. torch's weights-only loader refuses it, and so do
    all routes. Get the weights as safetensors from a source that you trust.
    """

    code = "SAFE101"
    kind = "unsafe_pickle"
    stage = "load"
    hint = "do not load it; get the weights as safetensors from a source that you trust"


class ConfigRunsCode(Rule):
    """config.json sets `_attn_implementation_internal`, at any depth.

    transformers 4.56.0 to 5.2.x loads and runs code that it names, even without
    `trust_remote_code` (CVE-2026-4372). No honest checkpoint has the key: remove it.
    """

    code = "SAFE102"
    stage = "config"
    since = "4.56.0"
    until = "5.3.0"
    evidence = "reported"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        for key, place in dangerous_keys(facts.checkpoint.config):
            if key == INTERNAL_ATTENTION:
                yield self.found(
                    f"`{place}` makes transformers run code that config.json names, even without "
                    "`trust_remote_code` (CVE-2026-4372)",
                    where=Where(path="config.json", key=place),
                    hint=f"do not load it; remove `{place}` from config.json",
                )


class ConfigTrustsItself(Rule):
    """A config inside config.json sets `trust_remote_code`.

    Before transformers 5.3.0 that switches the model's own code on, though the caller did not
    (CVE-2026-5241). No honest checkpoint needs the key: remove it.
    """

    code = "SAFE103"
    stage = "config"
    until = "5.3.0"
    evidence = "reported"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        for key, place in dangerous_keys(facts.checkpoint.config):
            if key == TRUST and place != TRUST:
                yield self.found(
                    f"`{place}` makes transformers run the model's own code, though nobody asked "
                    "for that (CVE-2026-5241)",
                    where=Where(path="config.json", key=place),
                    hint=f"do not load it; remove `{place}` from config.json",
                )


RULES: tuple[Rule, ...] = (UnsafePickle(), ConfigRunsCode(), ConfigTrustsItself())
