"""What the walk meets while a model's own code is imported: packages, names, files."""

from __future__ import annotations

from trueup.doctor.finding import Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts
from trueup.doctor.rules.failure_rule import FailureRule, life_of
from trueup.doctor.walk.failure import Failure
from trueup.doctor.walk.torch_history import torch_life
from trueup.environment.symbols.symbols import Lifetime


class PackageBroken(FailureRule):
    """A package that the model's code imports does not work with this transformers.

    It takes a name from transformers that is gone, at the import of the package, as
    transformers_stream_generator does, which Qwen's first code imports.

    Drop the package from the model's code, or use an older transformers.
    """

    code = "ENV106"
    messages = (
        Message(
            patterns=(
                r"cannot import name '?(?P<owner>BeamSearchScorer|DisjunctiveConstraint|"
                r"PhrasalConstraint|ConstrainedBeamSearchScorer)",
            ),
            is_broad=True,
            seen_with=(r"transformers_stream_generator",),
            dotted="transformers.{owner}",
            cause="`transformers_stream_generator` needs `transformers.{owner}`, which is gone",
            hint="take `transformers_stream_generator` out of the model's code; its streaming "
            "is built in (`streamer=`)",
        ),
    )
    stage = "import"
    cause = "`{subject}` needs `transformers.{owner}`, which is gone"
    hint = "take `{subject}` out of the model's code; its streaming is built in (`streamer=`)"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "package" and bool(failure.owner)

    def life(self, failure: Failure, facts: Facts) -> Lifetime | None:
        return life_of(f"transformers.{failure.owner}", facts)

    def place(self, failure: Failure, facts: Facts) -> Where:
        return facts.code.imported(failure.subject)


class PackageMissing(FailureRule):
    """The model's code imports a package that is not installed.

    The library looks for every package that the module imports, functions included, and refuses
    before it runs any of it: `requires the following packages that were not found in your
    environment: einops`.

    Install it.
    """

    code = "ENV102"
    messages = (
        Message(
            patterns=(
                r"requires the following packages that were not found in your "
                r"environment:\s*(?P<subject>[\w-]+(?:, [\w-]+)*)",
                r"No module named '?(?P<subject>sentencepiece|tiktoken|einops|timm|"
                r"transformers_stream_generator|flash_attn)",
            ),
            hint="install it in the environment that loads the model",
        ),
    )
    stage = "import"
    evidence = "observed"
    cause = "the model's code imports `{subject}`, which is not installed"
    hint = "pip install {subject}"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "package"

    def place(self, failure: Failure, facts: Facts) -> Where:
        return facts.code.imported(failure.subject)


class ImportGone(FailureRule):
    """The model's code imports a name that this transformers does not have.

    Names move and go between releases: `cannot import name 'is_torch_fx_available' from
    'transformers.utils'`, `No module named 'transformers.generation_utils'`.

    Guard the import, or take the name from where it is now.
    """

    code = "IMP101"
    messages = (
        Message(
            patterns=(
                r"cannot import name '?(?P<name>\w+)'? from "
                r"'?(?P<source>transformers(?:\.\w+)*)(?!\w)",
                r"No module named '?(?P<source>transformers(?:\.\w+)*)\.(?P<name>\w+)",
                r"module '?(?P<source>transformers(?:\.\w+)*)'? has no attribute '?(?P<name>\w+)",
            ),
            dotted="{source}.{name}",
            cause="the transformers that ran has no `{name}` in `{source}`",
        ),
    )
    stage = "import"
    cause = "`{subject}` is not in transformers {version}"
    hint = "guard the import with `try`, or copy what it was into the model's code"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "import" and failure.subject.startswith("transformers")

    def life(self, failure: Failure, facts: Facts) -> Lifetime | None:
        return life_of(failure.subject, facts)


class TorchNameGone(FailureRule):
    """The model's code imports a name that this torch does not have.

    `torch._six` went with torch 2.0, and others came later than the torch that is installed: `No
    module named 'torch._six'`, `cannot import name 'inf' from 'torch'`.

    Guard the import, or use another torch.
    """

    code = "IMP104"
    messages = (
        Message(
            patterns=(
                r"cannot import name '?(?P<name>\w+)'? from "
                r"'?(?P<source>torch(?:\.\w+)*)(?!\w)",
                r"No module named '?(?P<source>torch(?:\.\w+)*)\.(?P<name>\w+)",
            ),
            cause="the torch that ran has no `{name}` in `{source}`",
        ),
    )
    stage = "import"
    cause = "`{subject}` is not in torch {torch}{when}"
    hint = "guard the import with `try`, or take the name from where it is now"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "import" and failure.subject.startswith("torch.")

    def words(self, failure: Failure, facts: Facts) -> dict[str, str]:
        life = torch_life(failure.subject, facts.environment.packages)
        when = ""
        if life is not None and life.since is not None:
            when = f", which took it away by {life.since}"
        elif life is not None and life.until is not None:
            when = f", which is older than {life.until}, where it came"
        torch = facts.environment.packages.get("torch", "")
        return {**super().words(failure, facts), "torch": torch, "when": when}


class OwnFileMissing(FailureRule):
    """A module of the model's own code imports another one, or a name of it, that is not there.

    `No module named 'transformers_modules.x.more'`, or `cannot import name 'rotate' from
    'transformers_modules.x.more'`.

    Get the file from where the model came from.
    """

    code = "IMP103"
    messages = (
        Message(
            patterns=(
                r"cannot import name '?(?P<name>\w+)'? from "
                r"'?(?P<source>transformers_modules[\w.-]*)",
                r"No module named '?(?P<source>transformers_modules[\w.-]*)\.(?P<name>\w+)",
            ),
            cause="the model's own code has no `{name}` in `{source}`",
        ),
    )
    stage = "import"
    cause = "{message}"
    hint = "get the missing Python file from where the model came from"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "import"

    def place(self, failure: Failure, facts: Facts) -> Where:
        return facts.code.taken(failure.subject)


class TypeTaken(FailureRule):
    """The model's code registers a model type that the library has by now.

    `'minimax' is already used by a Transformers config, pick another name.`

    Remove the line that registers it, or give it `exist_ok=True`.
    """

    code = "IMP105"
    messages = (
        Message(
            patterns=(
                r"'(?P<name>[\w.-]{1,80})' is already used by a Transformers config, pick another",
            ),
            cause="the model type `{name}` is registered, and transformers has one of that name",
        ),
    )
    stage = "import"
    cause = "the model type `{subject}` is registered, and transformers has one of that name"
    hint = "remove the line that registers it, or give it `exist_ok=True`"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "value" and failure.owner == "AutoConfig"

    def life(self, failure: Failure, facts: Facts) -> Lifetime | None:
        name = failure.subject.replace("-", "_")
        return life_of(f"transformers.models.{name}.configuration_{name}", facts)


IMPORT_RULES: tuple[FailureRule, ...] = (
    PackageBroken(),
    PackageMissing(),
    ImportGone(),
    TorchNameGone(),
    OwnFileMissing(),
    TypeTaken(),
)
