"""What the walk meets of calls that do not fit, and of members that are gone."""

from __future__ import annotations

from trueup.doctor.finding import Where
from trueup.doctor.rule import Facts
from trueup.doctor.rules.failure_rule import FailureRule
from trueup.doctor.walk.failure import Failure


class PadTakesNoSide(FailureRule):
    """The tokenizer's own `_pad` does not accept `padding_side`.

    Since 4.45.0 the base class passes it: `_pad() got an unexpected keyword argument
    'padding_side'`, at the first text that is padded. Give `_pad` the parameter.
    """

    code = "TOK104"
    stage = "tokenizer"
    since = "4.45.0"
    evidence = "observed"
    cause = "`_pad` has no parameter `{owner}`, which the base class passes since 4.45"
    hint = "add `{owner}=None` to the parameters of `_pad`"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "argument" and failure.subject.endswith("._pad")

    def place(self, failure: Failure, facts: Facts) -> Where:
        return facts.code.defined(failure.subject)


class StartsBeforeItsVocabulary(FailureRule):
    """The tokenizer calls `super().__init__` before it has set its vocabulary.

    Since 4.34.0 the base class adds special tokens while it starts and asks for `vocab_size` and
    `get_vocab`, which need an attribute that is set only afterwards: `has no attribute
    'tokenizer'` or `'sp_tokenizer'`, `has no attribute vocab_size`, on 5.x `'property' object
    cannot be interpreted as an integer`; where protobuf is missing, `requires the protobuf
    library` hides it. Set the vocabulary first and call `super().__init__` last.
    """

    code = "TOK101"
    stage = "tokenizer"
    since = "4.34.0"
    evidence = "observed"
    cause = (
        "`super().__init__` runs before the vocabulary is set, and since 4.34 it asks for it: "
        "{message}"
    )
    hint = "set the vocabulary first and call `super().__init__` last"

    def fits(self, failure: Failure, stage: str) -> bool:
        starts = any(frame.function.endswith(".__init__") for frame in failure.frames[:-1])
        return stage == "tokenizer" and starts and failure.kind in ("attribute", "type")


class OverrideTooNarrow(FailureRule):
    """A method of the model's own code takes other arguments than this library calls it with.

    `got an unexpected keyword argument`, `takes … positional arguments`. Give it `**kwargs`.
    """

    code = "SIG101"
    stage = "init"
    cause = "the library calls `{subject}` in a way that it does not take: {message}"
    hint = "add `**kwargs` to the parameters of `{name}`"

    def fits(self, failure: Failure, stage: str) -> bool:
        is_library = failure.is_called_by_library or not failure.frames
        return failure.kind == "argument" and is_library

    def place(self, failure: Failure, facts: Facts) -> Where:
        return facts.code.defined(failure.subject)


class CallDoesNotFit(FailureRule):
    """The model's code calls a function of the library with arguments that it no longer takes.

    `got an unexpected keyword argument`, `missing … required positional arguments`. Look up the
    function's signature in the installed release.
    """

    code = "SIG102"
    stage = "init"
    cause = "`{function}` makes a call that does not fit: {message}"
    hint = "leave the argument out, or pass it under the name that it has now"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "argument"


CALL_RULES: tuple[FailureRule, ...] = (
    PadTakesNoSide(),
    StartsBeforeItsVocabulary(),
    OverrideTooNarrow(),
    CallDoesNotFit(),
)
