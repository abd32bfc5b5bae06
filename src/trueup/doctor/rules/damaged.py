"""Files that are there and do not hold what they should: cut short, another's text, unreadable."""

from __future__ import annotations

from trueup.checkpoint.checkpoint import Problem
from trueup.doctor.message import Message
from trueup.doctor.rule import Rule
from trueup.doctor.rules.directory import ProblemRule, is_of_auto_map, shown


class Truncated(ProblemRule):
    """A weight file is shorter than its own header says: a download that ended early.

    safetensors says `incomplete metadata, file not fully covered`, torch `PytorchStreamReader
    failed finding central directory`.

    Copy the file again; the check tells how much of it is missing.
    """

    code = "DIR107"
    messages = (
        Message(
            patterns=(
                r"incomplete metadata, file not fully covered",
                r"MetadataIncompleteBuffer",
                r"PytorchStreamReader failed (?:reading zip archive|finding central directory)",
                r"unexpected EOF, expected \d+ more bytes",
            ),
        ),
    )
    kind = "truncated"
    stage = "load"

    def cause(self, problem: Problem) -> str:
        return f"`{shown(problem.path)}` is cut short: {problem.detail}"


class LfsPointer(ProblemRule):
    """A file holds Git LFS's three lines of text instead of its content.

    `header too large`, `invalid load key, 'v'`, or, of a tokenizer's file, `could not parse
    ModelProto`.

    Fetch the content: `git lfs pull`, or `hf download`.
    """

    code = "DIR108"
    messages = (
        Message(
            patterns=(
                r"header too large",
                r"HeaderTooLarge",
                r"invalid load key, 'v'",
                r"not a string.*sentencepiece|could not parse ModelProto",
            ),
        ),
        Message(
            patterns=(r"UnpicklingError: invalid load key",),
            is_broad=True,
        ),
    )
    kind = "lfs_pointer"
    stage = "load"
    hint = "fetch the content: `git lfs pull`, or `hf download`"


class WebPage(ProblemRule):
    """A file holds a web page: what a browser or a proxy answered instead of the file.

    torch says `invalid load key, '<'`, safetensors that the header is too large.

    Copy the file again, with what signs you in or past the proxy that answered.
    """

    code = "DIR109"
    messages = (
        Message(
            patterns=(r"invalid load key, '(?:<|\\n)'",),
        ),
    )
    kind = "html"
    stage = "load"


class Malformed(ProblemRule):
    """A file's header or structure cannot be read.

    safetensors says `Error while deserializing header: invalid header`.

    Copy the file again from where it came from.
    """

    code = "DIR110"
    messages = (
        Message(
            patterns=(
                r"InvalidHeader",
                r"HeaderTooSmall",
                r"Error while deserializing header",
            ),
        ),
    )
    kind = "malformed"
    stage = "load"

    def concerns(self, problem: Problem) -> bool:
        return problem.kind == "malformed" and not is_of_auto_map(problem)


class Unreadable(ProblemRule):
    """The operating system does not let the file be read.

    `Permission denied: 'model.safetensors'`, or a link that leads to nothing.

    Change the file's permissions, or what it links to.
    """

    code = "DIR111"
    messages = (
        Message(
            patterns=(
                r"Permission denied: '(?P<path>[^']+\.(?:json|safetensors|bin|py|model|txt|"
                r"jinja))'",
            ),
        ),
    )
    kind = "unreadable"
    stage = "load"
    hint = "it must be a file that may be read: look at its permissions, and at where it links to"


RULES: tuple[Rule, ...] = (
    Truncated(),
    LfsPointer(),
    WebPage(),
    Malformed(),
    Unreadable(),
)
