"""What the model's own code can do to the machine that runs it, file by file.

Warnings, but for code that hides itself: what they show may be wanted, and somebody has to look.
The native route runs none of it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import groupby
from typing import ClassVar

from trueup.doctor.audit import DOES, Alarm, Kind, alarms_text
from trueup.doctor.finding import Finding, Route, Severity, Where
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import WITH_REMOTE_CODE


class AuditRule(Rule):
    """Turns the alarms of one kind into a finding for each file."""

    kind: ClassVar[Kind]
    stage = "import"
    severity: ClassVar[Severity] = "warning"
    evidence = "index"
    blocks: ClassVar[tuple[Route, ...]] = ()
    avoided_by = ("native",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        alarms = [alarm for alarm in facts.alarms if alarm.kind == self.kind]
        for path, group in groupby(sorted(alarms, key=_by_path), key=_by_path):
            here = list(group)
            yield self.found(
                f"`{path}` {DOES[self.kind]}: {alarms_text(here)}",
                where=Where(path=path, line=here[0].line),
                hint="read these lines before you let the model's own code run",
            )


class ForeignCode(Rule):
    """auto_map takes code from another repository (`org/name--module.Class`).

    That repository's owner decides what runs, and may change it at any time. A check reads the
    model's own files only.

    Look at that code with `trueup trust MODEL`, which shows it too and keeps what you agreed to.
    """

    code = "SAFE107"
    stage = "import"
    severity = "warning"
    evidence = "index"
    blocks = ()
    avoided_by = ("native",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        of_config = facts.checkpoint.config.get("auto_map")
        for auto_class, reference in facts.checkpoint.auto_map.items():
            is_there = isinstance(of_config, dict) and auto_class in of_config
            path = "config.json" if is_there else "tokenizer_config.json"
            repository, between, name = reference.rpartition("--")
            if between:
                yield self.found(
                    f"`{name}` is code of another repository, `{repository}`, which is not looked "
                    "into here",
                    where=Where(path=path, key=f"auto_map.{auto_class}"),
                    hint=f"trueup trust {shlex.quote(facts.checkpoint.source)}",
                )


def _by_path(alarm: Alarm) -> str:
    return alarm.path


class HidesItself(AuditRule):
    """The code hides what it runs.

    It decodes something and runs it, reaches functions of the system by computed names, or has
    text that an editor does not show.

    Do not let it run: no honest model needs that.
    """

    code = "SAFE110"
    kind = "obfuscated"
    severity = "error"
    blocks = WITH_REMOTE_CODE


class Evaluates(AuditRule):
    """The code makes other code while it runs: `eval`, `exec`, `compile`.

    Where the text comes from a model's answer or from outside, whoever writes that text decides
    what runs.

    Look where it comes from.
    """

    code = "SAFE111"
    kind = "evaluates"


class StartsPrograms(AuditRule):
    """The code starts other programs: `subprocess`, `os.system` and their like.

    Compilers for kernels are the usual reason.

    Look at what is started, and with which arguments.
    """

    code = "SAFE112"
    kind = "process"


class UsesNetwork(AuditRule):
    """The code talks to other machines: `requests`, `urllib`, sockets, downloads from a hub.

    Images given as addresses are the usual reason; it works only online, and can send as well as
    fetch. TrueUp's workers have no network.

    Look at what is sent where.
    """

    code = "SAFE113"
    kind = "network"


class Unpickles(AuditRule):
    """The code reads formats that can run code: pickle, `torch.load` without `weights_only=True`.

    The file that is read decides what runs.

    Look at which file that is.
    """

    code = "SAFE114"
    kind = "unpickles"


class RunsNativeCode(AuditRule):
    """The code loads or builds compiled code: `ctypes`, C++ extensions, CUDA modules.

    No audit sees into that.

    Look at where it comes from.
    """

    code = "SAFE115"
    kind = "native"


class RunsOtherCode(AuditRule):
    """The code runs code from elsewhere: `trust_remote_code=True`, imports by computed names.

    Such code is not part of what you looked at and agreed to.

    Look at where it comes from.
    """

    code = "SAFE116"
    kind = "imports"


class ReadsSecrets(AuditRule):
    """The code reads keys, tokens or files that hold them.

    TrueUp's workers get none of these variables.

    Look at what is done with them.
    """

    code = "SAFE117"
    kind = "secrets"


class WritesFiles(AuditRule):
    """The code writes, moves or deletes files, elsewhere than in its methods for saving.

    TrueUp's workers may write nowhere.

    Look at which files these are.
    """

    code = "SAFE118"
    kind = "writes"


class CarriesData(AuditRule):
    """The code carries a long string that nobody can read.

    Compiled CUDA kernels are the usual reason.

    Look at what is made of it.
    """

    code = "SAFE119"
    kind = "hidden"


RULES: tuple[Rule, ...] = (
    ForeignCode(),
    HidesItself(),
    Evaluates(),
    StartsPrograms(),
    UsesNetwork(),
    Unpickles(),
    RunsNativeCode(),
    RunsOtherCode(),
    ReadsSecrets(),
    WritesFiles(),
    CarriesData(),
)
