"""Models that a class of their own loads with huggingface_hub's PyTorchModelHubMixin.

config.json holds the arguments of the class. Where one is missing, the mixin says only that the
constructor misses it, whatever the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from trueup.checkpoint.checkpoint import Checkpoint, HubClass, HubModel
from trueup.checkpoint.layouts import evidence_of, layout_of
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.config_hint import config_hint
from trueup.doctor.rules.directory import EVERY_ROUTE

CONFIG = "config.json"
SHOWN = 8
# Reading config.json failed, which is another finding.
BROKEN = ("not_json", "byte_order_mark", "html", "lfs_pointer", "unreadable")


def _is_broken(checkpoint: Checkpoint) -> bool:
    return any(each.path == CONFIG and each.kind in BROKEN for each in checkpoint.problems)


def _missing(candidate: HubClass, checkpoint: Checkpoint) -> list[str]:
    return [name for name in candidate.required if name not in checkpoint.config]


def _others_config(model: HubModel, checkpoint: Checkpoint) -> HubClass | None:
    """The other class whose arguments config.json has, all of them."""
    if not _missing(model.chosen, checkpoint):
        return None
    for other in model.others:
        if other.required and not _missing(other, checkpoint):
            return other
    return None


class HubModelRuns(Rule):
    """The weights are those of a class with PyTorchModelHubMixin, which transformers cannot load.

    Load them with the class itself: `X.from_pretrained(directory)`.
    """

    code = "MIX100"
    stage = "config"
    severity = "info"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        model = facts.checkpoint.hub_model
        if model is not None:
            name, place = model.chosen.name, model.chosen.path
            told = f" in `{place}`" if place else ""
            yield self.found(
                f"the weights are those of `{name}`{told}: `{name}.from_pretrained` loads them, "
                "not transformers",
                where=Where(path=place, line=model.chosen.line),
            )


class NoArguments(Rule):
    """There is no config.json, or it is empty: the class gets none of its arguments.

    huggingface_hub logs that and goes on: `KronosTokenizer.__init__() missing 16 required
    positional arguments`. A wrong repository or revision, no network, a 403, 404, 429 or 500 end
    the same way.

    Copy config.json, or rebuild it with `trueup check DIR --write-config` where the weights tell
    it.
    """

    code = "MIX101"
    messages = (
        Message(
            patterns=(r"Kronos\w*\.__init__\(\) missing (?:11|16) required positional arguments",),
        ),
        Message(
            patterns=(
                r"(?:^|[ .])(?:__init__\(\) )?missing (?:[4-79]|[1-9]\d) required positional "
                r"arguments",
            ),
            is_broad=True,
            seen_with=(
                r"[Kk]ronos",
                r"hub_mixin",
            ),
        ),
    )
    stage = "config"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        model = checkpoint.hub_model
        if model is None or checkpoint.config or _is_broken(checkpoint):
            return
        missing = list(model.chosen.required)
        reason = "is empty" if CONFIG in checkpoint.files else "is not in the directory"
        if missing:
            yield self.found(
                f"config.json {reason}, so `{model.chosen.name}` misses all of its "
                f"{len(missing)} arguments: {_listing(missing, len(missing))}",
                where=Where(path=CONFIG),
                hint=config_hint(checkpoint),
            )


class ConfigOfAnotherClass(Rule):
    """config.json has the arguments of another class than the weights are of.

    Of Kronos, the tokenizer's directory was mixed with the model's: `Kronos.__init__() missing 3
    required positional arguments`, or `KronosTokenizer.__init__() missing 8 required positional
    arguments`.

    Take config.json and weights from one repository.
    """

    code = "MIX103"
    messages = (
        Message(
            patterns=(r"Kronos\w*\.__init__\(\) missing (?:3|8) required positional arguments",),
        ),
        Message(
            patterns=(r"(?:__init__\(\) )missing (?:3|8) required positional arguments",),
            is_broad=True,
            seen_with=(
                r"[Kk]ronos",
                r"hub_mixin",
            ),
        ),
    )
    stage = "config"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        model = checkpoint.hub_model
        other = _others_config(model, checkpoint) if model is not None else None
        if model is None or other is None:
            return
        missing = _missing(model.chosen, checkpoint)
        yield self.found(
            f"config.json is that of `{other.name}` and the weights are those of "
            f"`{model.chosen.name}`, which misses {len(missing)} arguments: "
            f"{_listing(missing, len(missing))}",
            where=Where(path=CONFIG),
            hint=config_hint(checkpoint),
        )


class ArgumentMissing(Rule):
    """config.json lacks arguments of the class, or has them under other names.

    `KronosTokenizer.__init__() missing 1 required positional argument: 'group_size'`.

    Add the key, or rename the one that was meant.
    """

    code = "MIX102"
    messages = (
        Message(
            patterns=(
                r"Kronos\w*\.__init__\(\) missing [12] required positional arguments?: "
                r"'(?P<key>\w+)'",
            ),
            cause="config.json lacks the key `{key}`, or has it under another name",
        ),
        Message(
            patterns=(r"__init__\(\) missing [12] required positional arguments?: '(?P<key>\w+)'",),
            is_broad=True,
            seen_with=(
                r"[Kk]ronos",
                r"hub_mixin",
            ),
            cause="config.json lacks the key `{key}`, or has it under another name",
        ),
    )
    stage = "config"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        model = checkpoint.hub_model
        if model is None or not checkpoint.config or _others_config(model, checkpoint):
            return
        missing = _missing(model.chosen, checkpoint)
        if not missing:
            return
        known = {*model.chosen.required, *model.chosen.optional}
        renamed = _renamed(missing, [key for key in checkpoint.config if key not in known])
        told = "".join(
            f"; `{found}` is there, which may be `{wanted}`" for wanted, found in renamed.items()
        )
        wanted, found = next(iter(renamed.items()), ("", ""))
        count = f"{len(missing)} argument{'s' if len(missing) > 1 else ''}"
        yield self.found(
            f"config.json lacks {count} of `{model.chosen.name}`: "
            f"{_listing(missing, len(missing))}{told}",
            where=Where(path=CONFIG, key=missing[0]),
            hint=f"rename `{found}` to `{wanted}` in config.json"
            if wanted and len(missing) == 1
            else config_hint(checkpoint),
        )


def _renamed(missing: list[str], extra: list[str]) -> dict[str, str]:
    """Missing names and the keys that look like them, spelled otherwise."""
    plain = {key.replace("_", "").replace("-", "").lower(): key for key in extra[:200]}
    found: dict[str, str] = {}
    for name in missing:
        near = get_close_matches(name.replace("_", "").lower(), plain, n=1, cutoff=0.75)
        if near and plain[near[0]] not in found.values():
            found[name] = plain[near[0]]
    return found


class TensorsMissing(Rule):
    """Tensors of the class are not in the weights, and the mixin does not say so.

    With `strict=False` they keep random numbers: the model runs and answers wrongly.

    Get the weights whole.
    """

    code = "MIX105"
    stage = "load"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        if any(each.path in checkpoint.weights.files for each in checkpoint.problems):
            return
        evidence = evidence_of(checkpoint)
        layout = layout_of(evidence)
        if layout is None:
            return
        missing = [name for name in layout.expected(evidence) if name not in evidence.tensors]
        if missing:
            yield self.found(
                f"the weights lack {len(missing)} tensors of `{layout.class_name}`, which would "
                f"stay random: {_listing(missing, SHOWN)}",
                where=Where(path=next(iter(checkpoint.weights.files), None)),
                hint="copy the weights again from where they came from",
            )


def _listing(names: list[str], shown: int) -> str:
    listed = ", ".join(f"`{name}`" for name in names[:shown])
    return f"{listed} and {len(names) - shown} more" if len(names) > shown else listed


RULES: tuple[Rule, ...] = (
    HubModelRuns(),
    NoArguments(),
    ConfigOfAnotherClass(),
    ArgumentMissing(),
    TensorsMissing(),
)
