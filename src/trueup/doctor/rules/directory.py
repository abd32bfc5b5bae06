"""Incomplete or damaged directories: one finding for each problem that reading the files met."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace

from trueup.checkpoint.checkpoint import Problem, ProblemKind
from trueup.checkpoint.foreign import foreign_layout
from trueup.doctor.finding import Finding, Route, Stage, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.config_hint import config_hint

EVERY_ROUTE: tuple[Route, ...] = ("native", "fixed", "isolated")
WITH_REMOTE_CODE: tuple[Route, ...] = ("fixed", "isolated")
TOKENIZER_STARTS = ("tokenization", "tokenizer", "vocab.", "merges.")
OPTIONAL_FILES = ("generation_config.json",)
MARKED: ProblemKind = "byte_order_mark"
DAMAGED_COPY = "copy `{path}` again from where it came from"


class ProblemRule(Rule):
    """Turns problems of one kind into findings."""

    kind: ProblemKind
    evidence = "index"
    blocks = EVERY_ROUTE
    hint: str | None = DAMAGED_COPY

    def concerns(self, problem: Problem) -> bool:
        """Whether the problem is this rule's."""
        return problem.kind == self.kind

    def cause(self, problem: Problem) -> str:
        """The problem in words."""
        return f"`{shown(problem.path)}`: {problem.detail}"

    def check(self, facts: Facts) -> Iterable[Finding]:
        for problem in facts.checkpoint.problems:
            if self.concerns(problem):
                is_optional = problem.path in OPTIONAL_FILES
                is_code = problem.path.endswith(".py")
                yield self.found(
                    self.cause(problem),
                    where=Where(path=shown(problem.path), line=problem.line, key=problem.key),
                    hint=self.hint.format(path=shown(problem.path)) if self.hint else None,
                    stage=_stage(problem.path, self.stage),
                    severity="warning" if is_optional else None,
                    blocks=() if is_optional else WITH_REMOTE_CODE if is_code else None,
                )


def is_of_auto_map(problem: Problem) -> bool:
    """Whether it is about a value of `auto_map`."""
    return (problem.key or "").startswith("auto_map.")


def shown(path: str) -> str:
    """A file's name, fit for one line."""
    return path if path.isprintable() else repr(path)[1:-1]


def _stage(path: str, otherwise: Stage) -> Stage:
    if path.startswith(TOKENIZER_STARTS) or path.endswith((".model", ".tiktoken")):
        return "tokenizer"
    if path.endswith(".py"):
        return "import"
    return "config" if path == "config.json" else otherwise


class ConfigMissing(ProblemRule):
    """The directory has no config.json.

    Nothing says what the weights are: `does not appear to have a file named config.json`.

    Copy it from where they came from, or rebuild it with `trueup check DIR --write-config` where
    names and shapes of the tensors tell it.
    """

    code = "DIR101"
    messages = (
        Message(
            patterns=(r"does not appear to have a file named config\.json",),
        ),
    )
    kind = "absent"
    stage = "config"

    def concerns(self, problem: Problem) -> bool:
        return problem.kind == "absent" and problem.path == "config.json"

    def cause(self, problem: Problem) -> str:
        return "there is no config.json, so nothing says what the weights are"

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        # Another rule knows what such models take; a GGUF file needs none.
        if checkpoint.hub_model is None and checkpoint.weights.format != "gguf":
            for finding in super().check(facts):
                yield replace(finding, hint=config_hint(checkpoint))


class BrokenJson(ProblemRule):
    """A JSON file of the directory does not parse, or is no object.

    transformers says `It looks like the config file at 'config.json' is not a valid JSON file`,
    Python `JSONDecodeError: Expecting value: line 1 column 1`. A byte order mark before the text
    is enough: `JSONDecodeError: Unexpected UTF-8 BOM (decode using utf-8-sig)`.

    Copy the file again from where it came from, or save it without the mark.
    """

    code = "DIR102"
    messages = (
        Message(
            patterns=(r"It looks like the config file at '?[^']+'? is not a valid JSON",),
        ),
        Message(
            patterns=(
                r"JSONDecodeError: (?:Expecting|Extra data|Invalid|Unterminated|Unexpected UTF-8)",
            ),
            is_broad=True,
            seen_with=(
                r"config(?:uration)?\w*\.(?:json|py)",
                r"tokenizer",
            ),
        ),
    )
    kind = "not_json"
    stage = "config"

    def concerns(self, problem: Problem) -> bool:
        return problem.kind in (self.kind, MARKED)

    def check(self, facts: Facts) -> Iterable[Finding]:
        marked = {
            shown(each.path): each.path for each in facts.checkpoint.problems if each.kind == MARKED
        }
        for finding in super().check(facts):
            path = finding.where.path or ""
            if path in marked:
                file = shlex.quote(str(facts.checkpoint.directory / marked[path]))
                command = rf"sed -i '1s/^\xEF\xBB\xBF//' {file}"
                yield replace(finding, hint=f"save it as UTF-8 without the mark: {command}")
            elif path == "config.json":
                yield replace(finding, hint=config_hint(facts.checkpoint))
            else:
                yield finding


class ShardMissing(ProblemRule):
    """The index names a weight file that is not in the directory.

    `does not appear to have a file named model-00002-of-00003.safetensors`, or `No such file or
    directory: 'model-00002-of-00003.safetensors'`.

    Copy the missing shards from where the weights came from.
    """

    code = "DIR104"
    messages = (
        Message(
            patterns=(
                r"(?:No such file or directory|does not appear to have a file "
                r"named).*?(?P<path>(?:model|pytorch_model)-\d+-of-\d+\.\w+)",
            ),
            cause="the index names `{path}`, which is not in the directory",
        ),
    )
    kind = "missing_shard"
    stage = "load"

    def cause(self, problem: Problem) -> str:
        return f"`{shown(problem.path)}` is missing: {problem.detail}"


class IndexMissing(ProblemRule):
    """There are several weight files and no index that says which tensor is in which.

    Loaders look for one file of a fixed name, or for an index.

    Copy the index, such as `model.safetensors.index.json`, from where the weights came from.
    """

    code = "DIR105"
    kind = "absent"
    stage = "load"

    def concerns(self, problem: Problem) -> bool:
        return problem.kind == "absent" and problem.path.endswith(".index.json")

    def check(self, facts: Facts) -> Iterable[Finding]:
        if foreign_layout(facts.checkpoint.files) is None:  # which has no index
            yield from super().check(facts)


class TensorMissing(ProblemRule):
    """The index places a tensor in a file whose header does not have it.

    The index and the shards are of different versions: `File does not contain tensor
    model.norm.weight`.

    Copy all of them again, from one revision.
    """

    code = "DIR106"
    messages = (
        Message(
            patterns=(r"File does not contain tensor (?P<name>[\w.]+)",),
        ),
    )
    kind = "missing_tensor"
    stage = "load"
    hint = "the index and the shards are of different versions: copy all of them again"


class TensorLeftOut(ProblemRule):
    """The index does not name tensors that a shard has.

    Loaders that go by the index leave them out, and the model keeps random numbers there. The
    index and the shards are of different versions.

    Copy all of them again, from one revision.
    """

    code = "DIR122"
    kind = "left_out"
    stage = "load"
    severity = "warning"
    blocks = ()
    hint = "the index and the shards are of different versions: copy all of them again"


RULES: tuple[Rule, ...] = (
    ConfigMissing(),
    BrokenJson(),
    ShardMissing(),
    IndexMissing(),
    TensorMissing(),
    TensorLeftOut(),
)
