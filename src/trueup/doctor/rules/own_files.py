"""The model's own Python files as files: absent, unreadable as Python, or not to be found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from trueup.checkpoint.checkpoint import Problem
from trueup.doctor.finding import Finding
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import WITH_REMOTE_CODE, ProblemRule, is_of_auto_map, shown

# What Python 3 says of statements that only Python 2 has.
PYTHON_2 = (
    r"(?:Missing parentheses in call to '(?:print|exec)'|leading zeros in decimal integer literals|"
    r"multiple exception types must be parenthesized)"
)


class AutoMapMalformed(ProblemRule):
    """A value of `auto_map` is not `module.Class`, so the model's own code cannot be found.

    transformers splits it at the point: `not enough values to unpack (expected 2, got 1)`.

    Correct the value; the native route does not need it.
    """

    code = "DIR116"
    messages = (
        Message(
            patterns=(r"not enough values to unpack \(expected 2, got 1\)",),
            is_broad=True,
            seen_with=(
                r"dynamic_module_utils",
                r"class_reference",
            ),
        ),
    )
    kind = "malformed"
    stage = "import"
    blocks = WITH_REMOTE_CODE
    hint = "correct the value in `{path}`, such as `modeling_x.XForCausalLM`"

    def concerns(self, problem: Problem) -> bool:
        return problem.kind == "malformed" and is_of_auto_map(problem)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for finding in super().check(facts):
            yield replace(finding, exception="ValueError")


class CodeMissing(ProblemRule):
    """config.json's `auto_map`, or an import of the model's code, names an absent Python file.

    transformers says `does not appear to have a file named modeling_x.py`.

    Copy the file from where the model came from; the native route does not need it.
    """

    code = "DIR112"
    messages = (
        Message(
            patterns=(r"does not appear to have a file named (?P<path>[\w./-]+\.py)",),
            cause="`{path}`, which `auto_map` or an import names, is not in the directory",
        ),
    )
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
    """A Python file of the model cannot be read as Python, or is not UTF-8.

    `SyntaxError: invalid syntax` at a line of the model's own file, when it is imported; where
    transformers reads it, `UnicodeDecodeError: 'utf-8' codec`, whatever its coding line says.

    Copy the file again from where it came from, or save it as UTF-8.
    """

    code = "DIR113"
    messages = (
        Message(
            patterns=(
                rf"\bSyntaxError: (?!{PYTHON_2})",
                r"IndentationError: ",
                r"UnicodeDecodeError: 'utf-8' codec",
            ),
            is_broad=True,
            seen_with=(
                r"transformers_modules",
                r"(?:modeling|configuration|tokenization)_\w+\.py",
            ),
        ),
    )
    kind = "python_syntax"
    stage = "import"
    blocks = WITH_REMOTE_CODE

    def check(self, facts: Facts) -> Iterable[Finding]:
        modules = facts.checkpoint.remote_code
        for finding in super().check(facts):
            module = modules.get(finding.where.path or "")
            if module is not None and module.tree is not None:  # its bytes are what is wrong
                hint = f"save `{finding.where.path}` as UTF-8"
                finding = replace(finding, exception="UnicodeDecodeError", hint=hint)
            yield finding


class CodeIsPython2(ProblemRule):
    """A Python file of the model is written in Python 2, which no current library runs on.

    `SyntaxError: Missing parentheses in call to 'print'` when it is imported.

    Get a version of the model for Python 3, or convert the file with `2to3` of an old Python.
    """

    code = "DIR118"
    messages = (
        Message(
            patterns=(PYTHON_2,),
        ),
    )
    kind = "python_2"
    stage = "import"
    blocks = WITH_REMOTE_CODE
    hint = "get a version of `{path}` for Python 3"

    def cause(self, problem: Problem) -> str:
        return f"`{shown(problem.path)}` is Python 2: {problem.detail}"


RULES: tuple[Rule, ...] = (
    AutoMapMalformed(),
    CodeMissing(),
    CodeDoesNotParse(),
    CodeIsPython2(),
)
