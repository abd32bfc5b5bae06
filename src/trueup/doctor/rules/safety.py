"""Files that run code when they are merely loaded."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.checkpoint.dangerous_keys import dangerous_keys
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE, ProblemRule


class UnsafePickle(ProblemRule):
    """The pickled weights name functions that plain weights do not need.

    Unpickling would call what the file chooses. torch's weights-only loader refuses it, and so do
    all routes: `WeightsUnpickler error: Unsupported global: GLOBAL os.system`.

    Get the weights as safetensors from a source that you trust.
    """

    code = "SAFE101"
    messages = (
        Message(
            patterns=(
                r"WeightsUnpickler error: Unsupported (?:global|class)",
                r"is not an allowed global by default",
            ),
        ),
        Message(
            patterns=(r"Weights only load failed",),
            is_broad=True,
            seen_with=(
                r"Unsupported (?:global|class)",
                r"allowed global",
            ),
        ),
    )
    kind = "unsafe_pickle"
    stage = "load"
    hint = "do not load it; get the weights as safetensors from a source that you trust"


class OddPickle(ProblemRule):
    """The pickled weights use instructions that torch's weights-only loader does not follow.

    They name nothing that runs code, but were written with another protocol of pickle than torch's
    own, 2, or by another program. Since torch 2.6 loading them fails: `WeightsUnpickler error:
    Unsupported operand 149`.

    Load and save them again with `torch.load(…, weights_only=False)` and `torch.save`, where you
    trust them.
    """

    code = "SAFE105"
    messages = (
        Message(
            patterns=(r"WeightsUnpickler error: Unsupported operand",),
        ),
        Message(
            patterns=(r"Weights only load failed",),
            is_broad=True,
            seen_with=(r"Unsupported operand",),
        ),
    )
    kind = "odd_pickle"
    stage = "load"
    hint = "if you trust it, load it with weights_only=False and save it as safetensors"


class LoosePickle(ProblemRule):
    """A pickle beside the weights names functions that start programs or run code.

    Nothing that TrueUp or transformers does loads it; a script of somebody may.

    Delete it.
    """

    code = "SAFE106"
    kind = "loose_pickle"
    stage = "load"
    severity = "warning"
    blocks = ()
    hint = "do not load it; delete `{path}`"


class ConfigRunsCode(Rule):
    """config.json names a repository as its attention implementation, at any depth.

    transformers 4.54.0 to 5.2.x, with the package `kernels` beside it, downloads that repository
    and runs its code, even without `trust_remote_code` (CVE-2026-4372, which names
    `_attn_implementation_internal`; `_attn_implementation` did the same before 5.0.0). Names
    without a slash and those of `kernels-community` are harmless.

    Remove the key: no honest checkpoint has another.
    """

    code = "SAFE102"
    stage = "config"
    since = "4.54.0"
    until = "5.3.0"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        for each in dangerous_keys(facts.checkpoint.config):
            if each.danger == "kernel":
                yield self.found(
                    f"`{each.place}` makes transformers run code that config.json names, even "
                    "without `trust_remote_code` (CVE-2026-4372)",
                    where=Where(path="config.json", key=each.place),
                    hint=f"do not load it; remove `{each.place}` from config.json",
                )


class ConfigTrustsItself(Rule):
    """A LightGlue config, or a config inside another, sets `trust_remote_code`.

    Before transformers 5.5.0 LightGlue takes it from the file and runs the code of the keypoint
    detector's repository, though the caller did not ask for that (CVE-2026-5241).

    Remove the key: no honest checkpoint needs it inside a config.
    """

    code = "SAFE103"
    stage = "config"
    until = "5.5.0"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        for each in dangerous_keys(facts.checkpoint.config):
            if each.danger in ("lightglue", "nested"):
                yield self.found(
                    f"`{each.place}` makes transformers run a repository's own code, though nobody "
                    "asked for that (CVE-2026-5241)",
                    where=Where(path="config.json", key=each.place),
                    hint=f"do not load it; remove `{each.place}` from config.json",
                )


class BackboneTrusted(Rule):
    """`backbone_kwargs` in config.json sets `trust_remote_code`.

    transformers 4.42.0 to 5.0.x hands these arguments to the loading of the backbone, so that the
    code of its repository runs, though the caller did not ask for that.

    Remove the key.
    """

    code = "SAFE104"
    stage = "config"
    since = "4.42.0"
    until = "5.1.0"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        for each in dangerous_keys(facts.checkpoint.config):
            if each.danger == "backbone":
                yield self.found(
                    f"`{each.place}` makes transformers run the code of the backbone's repository, "
                    "though nobody asked for that",
                    where=Where(path="config.json", key=each.place),
                    hint=f"do not load it; remove `{each.place}` from config.json",
                )


RULES: tuple[Rule, ...] = (
    UnsafePickle(),
    OddPickle(),
    LoosePickle(),
    ConfigRunsCode(),
    ConfigTrustsItself(),
    BackboneTrusted(),
)
