"""Loading: what is missing in the environment, and constructors that current loaders break."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from packaging.version import Version

from trueup.doctor.code import first, is_self_attribute
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.walk.failure import Failure

SAFE_TORCH = Version("2.6")
TIED_KEYS = "_tied_weights_keys"


class BufferLost(Rule):
    """The model keeps a table in a non-persistent buffer.

    transformers 5 builds models without memory and fills in what the files hold; such a buffer is
    not in the files, and remote code does not make it again: the model runs and answers wrongly,
    mostly without an error, else `probability tensor contains either inf, nan`.

    Recompute it in `_init_weights`, or compare logits before trusting the model.
    """

    code = "LOAD103"
    messages = (
        Message(
            patterns=(
                r"probability tensor contains either `?inf`?, `?nan`?",
                r"logits (?:are|contain)\w* nan",
            ),
            is_broad=True,
            cause="the logits are not numbers: on transformers 5 often a table of the model's "
            "code that is left unset when it is loaded, else fp16 out of range",
        ),
    )
    stage = "forward"
    since = "5.0.0"
    evidence = "reported"

    def check(self, facts: Facts) -> Iterable[Finding]:
        walked = facts.walked
        if walked is None:
            return
        named = list(dict.fromkeys(walked.buffers))
        lost = [(owner, name) for owner, name in named if not _is_made_again(facts, name)]
        if lost:
            owner, name = lost[0]
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            yield self.found(
                f"`{owner}.{name}`{more}, a table that no file holds, stays unset when the model "
                "is loaded: wrong answers without an error",
                where=facts.code.defined_by(owner, lambda node: _registers(node, name)),
                hint=f"recompute `{name}` in `_init_weights`",
            )


def _is_made_again(facts: Facts, name: str) -> bool:
    """Whether the model's own `_init_weights` speaks of the buffer."""
    method = facts.code.method(facts.code.model, "_init_weights")
    return method is not None and name in ast.unparse(method.node)


def _registers(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and is_self_attribute(node.func, "register_buffer")
        and any(isinstance(each, ast.Constant) and each.value == name for each in ast.walk(node))
    )


class LoadedWeightsOverwritten(Rule):
    """The model's `_init_weights` writes into weights past torch's own functions.

    transformers 5.0 and 5.1 call it after loading and guard no more than `torch.nn.init`:
    `module.weight.data.normal_()` puts random numbers over what the files held, without an error.

    Initialise with `nn.init.normal_(module.weight)`, or use 5.2.0 or newer.
    """

    code = "LOAD109"
    stage = "forward"
    since = "5.0.0"
    until = "5.2.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        method = facts.code.method(facts.code.model, "_init_weights")
        if method is None or _speaks_of(method.node, "_is_hf_initialized"):
            return
        written = first(method.node, _writes_data)
        if written is not None:
            is_met = any(_speaks_of(method.node, name) for name in ("Linear", "Embedding"))
            yield self.found(
                f"`_init_weights` writes into weights (`{ast.unparse(written)}`), and "
                "transformers 5.0 and 5.1 call it on those that are loaded: wrong answers without "
                "an error",
                where=method.at(written),
                hint="initialise with `nn.init.normal_(module.weight)`, which leaves them alone",
                severity="error" if is_met else "warning",
            )


def _speaks_of(node: ast.AST, name: str) -> bool:
    return any(
        name in (getattr(each, "attr", None), getattr(each, "id", None), getattr(each, "value", 0))
        for each in ast.walk(node)
    )


def _writes_data(node: ast.AST) -> bool:
    """`x.weight.normal_()`, `init(x.weight.data)`, `x.weight.data = y`."""
    if isinstance(node, ast.Assign):
        return any(_is_data(target) for target in node.targets)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    is_in_place = node.func.attr.endswith("_") and not node.func.attr.startswith("_")
    is_of_part = isinstance(node.func.value, ast.Attribute) and _is_parameter(node.func.value)
    return is_in_place and (is_of_part or any(map(_is_data, node.args)))


def _is_data(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "data"


def _is_parameter(node: ast.Attribute) -> bool:
    return _is_data(node) or node.attr in ("weight", "bias")


class TiedKeysBreakSaving(Rule):
    """The model's `_tied_weights_keys` is a list, which `save_pretrained` takes for a mapping.

    Since 5.0.0, and whether weights are tied or not, saving fails as LOAD105 does in loading; after
    a training run that is late.

    Write it as a dictionary of target to source.
    """

    code = "LOAD110"
    messages = (
        Message(
            patterns=(r"'list' object has no attribute '?keys",),
            is_broad=True,
            seen_with=(r"in save_pretrained",),
        ),
    )
    stage = "load"
    severity = "warning"
    since = "5.0.0"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        if any(each.subject == TIED_KEYS for each in _all_met(facts)):
            return  # loading does not get there
        for owner in facts.code.ancestry(facts.code.model):
            named = [each for each in owner.node.body if _names_tied_keys(each)]
            if named:
                value = getattr(named[-1], "value", None)
                if isinstance(value, ast.List) and value.elts:
                    yield self.found(
                        f"`{TIED_KEYS}` of `{owner.name}` is a list: loading takes it, saving the "
                        "model does not",
                        where=owner.at(named[-1]),
                        hint=f"make `{TIED_KEYS}` a dictionary of target to source",
                    )
                return


def _all_met(facts: Facts) -> Iterable[Failure]:
    """What the walk met, behind another failure and on ways that may not be taken too."""
    walked = facts.walked
    if walked is not None:
        yield from walked.failures.values()
        for more in (*walked.behind.values(), *walked.possible.values()):
            yield from more


def _names_tied_keys(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(each, ast.Name) and each.id == TIED_KEYS for each in targets)


class PickleNeedsTorch(Rule):
    """The weights are pickled and torch is older than 2.6.

    Since 4.52.1 transformers refuses to unpickle there, because torch's loader could be made to
    run code (CVE-2025-32434): `require users to upgrade torch to at least v2.6`.

    Use torch 2.6 or newer, or safetensors.
    """

    code = "LOAD104"
    messages = (
        Message(
            patterns=(
                r"require users to upgrade torch to at least v?2\.6",
                r"CVE-2025-32434",
            ),
        ),
    )
    stage = "load"
    since = "4.52.1"
    evidence = "index"

    def check(self, facts: Facts) -> Iterable[Finding]:
        torch = facts.environment.packages.get("torch")
        weights = facts.checkpoint.weights
        if weights.format == "pickle" and torch is not None and Version(torch) < SAFE_TORCH:
            yield self.found(
                f"pickled weights and torch {torch}: transformers asks for torch 2.6 or newer",
                where=Where(path=weights.files[0] if weights.files else None),
                hint='pip install "torch>=2.6"',
            )


RULES: tuple[Rule, ...] = (
    BufferLost(),
    LoadedWeightsOverwritten(),
    TiedKeysBreakSaving(),
    PickleNeedsTorch(),
)
