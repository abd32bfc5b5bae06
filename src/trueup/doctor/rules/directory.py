"""Incomplete or damaged directories: one finding for each problem that reading the files met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from trueup.checkpoint.checkpoint import Problem, ProblemKind
from trueup.checkpoint.foreign import foreign_layout
from trueup.doctor.finding import Finding, Route, Stage, Where
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.config_hint import config_hint

EVERY_ROUTE: tuple[Route, ...] = ("native", "fixed", "isolated")
WITH_REMOTE_CODE: tuple[Route, ...] = ("fixed", "isolated")
TOKENIZER_STARTS = ("tokenization", "tokenizer", "vocab.", "merges.")
OPTIONAL_FILES = ("generation_config.json",)
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


def _is_of_auto_map(problem: Problem) -> bool:
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

    Nothing says what the weights are. Copy it from where they came from, or rebuild it with
    `trueup check DIR --write-config` where names and shapes of the tensors tell it.
    """

    code = "DIR101"
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
    """A JSON file of the directory does not parse, or is no object."""

    code = "DIR102"
    kind = "not_json"
    stage = "config"

    def check(self, facts: Facts) -> Iterable[Finding]:
        for finding in super().check(facts):
            is_config = finding.where.path == "config.json"
            yield replace(finding, hint=config_hint(facts.checkpoint)) if is_config else finding


class ShardMissing(ProblemRule):
    """The index names a weight file that is not in the directory."""

    code = "DIR104"
    kind = "missing_shard"
    stage = "load"

    def cause(self, problem: Problem) -> str:
        return f"`{shown(problem.path)}` is missing: {problem.detail}"


class IndexMissing(ProblemRule):
    """There are several weight files and no index that says which tensor is in which."""

    code = "DIR105"
    kind = "absent"
    stage = "load"

    def concerns(self, problem: Problem) -> bool:
        return problem.kind == "absent" and problem.path.endswith(".index.json")

    def check(self, facts: Facts) -> Iterable[Finding]:
        if foreign_layout(facts.checkpoint.files) is None:  # which has no index
            yield from super().check(facts)


class TensorMissing(ProblemRule):
    """The index places a tensor in a file whose header does not have it."""

    code = "DIR106"
    kind = "missing_tensor"
    stage = "load"
    hint = "the index and the shards are of different versions: copy all of them again"


class TensorLeftOut(ProblemRule):
    """The index does not name tensors that a shard has.

    Loaders that go by the index leave them out, and the model keeps random numbers there. The
    index and the shards are of different versions: copy all of them again.
    """

    code = "DIR122"
    kind = "left_out"
    stage = "load"
    severity = "warning"
    blocks = ()
    hint = "the index and the shards are of different versions: copy all of them again"


class Truncated(ProblemRule):
    """A weight file is shorter than its own header says: a download that ended early."""

    code = "DIR107"
    kind = "truncated"
    stage = "load"

    def cause(self, problem: Problem) -> str:
        return f"`{shown(problem.path)}` is cut short: {problem.detail}"


class LfsPointer(ProblemRule):
    """A file holds Git LFS's three lines of text instead of its content."""

    code = "DIR108"
    kind = "lfs_pointer"
    stage = "load"
    hint = "fetch the content: `git lfs pull`, or `hf download`"


class WebPage(ProblemRule):
    """A file holds a web page: what a browser or a proxy answered instead of the file."""

    code = "DIR109"
    kind = "html"
    stage = "load"


class Malformed(ProblemRule):
    """A file's header or structure cannot be read."""

    code = "DIR110"
    kind = "malformed"
    stage = "load"

    def concerns(self, problem: Problem) -> bool:
        return problem.kind == "malformed" and not _is_of_auto_map(problem)


class AutoMapMalformed(ProblemRule):
    """A value of `auto_map` is not `module.Class`, so the model's own code cannot be found.

    The native route does not need it. Correct the value.
    """

    code = "DIR116"
    kind = "malformed"
    stage = "import"
    blocks = WITH_REMOTE_CODE
    hint = "correct the value in `{path}`, such as `modeling_x.XForCausalLM`"

    def concerns(self, problem: Problem) -> bool:
        return problem.kind == "malformed" and _is_of_auto_map(problem)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for finding in super().check(facts):
            yield replace(finding, exception="ValueError")


class Unreadable(ProblemRule):
    """The operating system does not let the file be read."""

    code = "DIR111"
    kind = "unreadable"
    stage = "load"
    hint = "look at the file's permissions, and at where it links to"


class CodeMissing(ProblemRule):
    """config.json's `auto_map`, or an import of the model's code, names an absent Python file.

    transformers says `does not appear to have a file named`. The native route does not need it.
    """

    code = "DIR112"
    kind = "absent"
    stage = "import"
    blocks = WITH_REMOTE_CODE

    def concerns(self, problem: Problem) -> bool:
        return problem.kind == "absent" and problem.path.endswith(".py")

    def cause(self, problem: Problem) -> str:
        return f"`{shown(problem.path)}` is missing, {problem.detail}"

    def check(self, facts: Facts) -> Iterable[Finding]:
        failures = facts.walked.failures.values() if facts.walked is not None else ()
        raised: dict[str, str] = {}
        for each in failures:
            if each.kind == "import":  # who asks later meets it in another way
                raised.setdefault(each.subject, each.exception)
        for finding in super().check(facts):
            yield replace(finding, exception=raised.get(finding.where.path or ""))


class CodeDoesNotParse(ProblemRule):
    """A Python file of the model does not parse."""

    code = "DIR113"
    kind = "python_syntax"
    stage = "import"
    blocks = WITH_REMOTE_CODE


class CodeIsPython2(ProblemRule):
    """A Python file of the model is written in Python 2, which no current library runs on.

    Get a version of the model for Python 3, or convert the file with `2to3` of an old Python.
    """

    code = "DIR118"
    kind = "python_2"
    stage = "import"
    blocks = WITH_REMOTE_CODE
    hint = "get a version of `{path}` for Python 3"

    def cause(self, problem: Problem) -> str:
        return f"`{shown(problem.path)}` is Python 2: {problem.detail}"


RULES: tuple[Rule, ...] = (
    ConfigMissing(),
    BrokenJson(),
    ShardMissing(),
    IndexMissing(),
    TensorMissing(),
    TensorLeftOut(),
    Truncated(),
    LfsPointer(),
    WebPage(),
    Malformed(),
    AutoMapMalformed(),
    Unreadable(),
    CodeMissing(),
    CodeDoesNotParse(),
    CodeIsPython2(),
)
