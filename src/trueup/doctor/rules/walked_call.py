"""What the walk meets of calls that do not fit, and of members that are gone."""

from __future__ import annotations

from trueup.doctor.finding import Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts
from trueup.doctor.rules.failure_rule import FailureRule
from trueup.doctor.walk.failure import Failure

MISFIT = (
    r"\(\) (?:got an unexpected keyword argument|got multiple values|takes (?:from )?\d+|"
    r"missing \d+ required)"
)
LIBRARY = (
    r"(?:ModuleUtilsMixin|PreTrained(?:Model|Config|Tokenizer\w*)|PretrainedConfig|"
    r"GenerationMixin|AttentionMaskConverter|\w*Cache)"
)
# From the last frame to the end of the traceback.
TO_ITS_ERROR = r"[^\n]*\n(?:(?!File )[^\n]*\n){0,3}TypeError:"


class PadTakesNoSide(FailureRule):
    """The tokenizer's own `_pad` does not accept `padding_side`.

    Since 4.45.0 the base class passes it: `_pad() got an unexpected keyword argument
    'padding_side'`, at the first text that is padded.

    Give `_pad` the parameter.
    """

    code = "TOK104"
    messages = (
        Message(
            patterns=(r"_pad\(\) got an unexpected keyword argument '?(?P<owner>padding_side)",),
            seen_with=(r"tokenization_\w+\.py",),
        ),
    )
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
    'tokenizer'` or `has no attribute 'sp_tokenizer'`, `has no attribute vocab_size`, on 5.x
    `'property' object cannot be interpreted as an integer`; where protobuf is missing, `requires
    the protobuf library but it was not found` hides it.

    Set the vocabulary first and call `super().__init__` last.
    """

    code = "TOK101"
    messages = (
        Message(
            patterns=(
                r"has no attribute '?(?P<subject>sp_model|sp_tokenizer|tokenizer|vocab_size|"
                r"mergeable_ranks)'?(?!\w)",
                r"'property' object cannot be interpreted as an integer",
                r"'property' object is not iterable",
            ),
            cause="`super().__init__` runs before the vocabulary is set, and since 4.34 it "
            "asks for it",
            seen_with=(
                r"tokenization_\w+\.py",
                r"get_vocab",
                r"vocab_size",
                r"_add_tokens",
            ),
        ),
        Message(
            patterns=(r"requires the protobuf library but it was not found",),
            cause="mostly a mask for another error: the handler of a tokenizer that fails "
            "while it starts needs protobuf itself",
            hint="`pip install protobuf` shows the real error; with remote code it is the "
            "order of `super().__init__` and the vocabulary",
        ),
    )
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

    `XModel.forward() got an unexpected keyword argument 'cache_position'`, `XModel.forward() takes
    3 positional arguments but 4 were given`.

    Give it `**kwargs`.
    """

    code = "SIG101"
    messages = (
        Message(
            patterns=(rf"(?P<subject>\b(?!{LIBRARY}\.)[A-Z]\w*\.(?!__init__|_pad\b)\w+){MISFIT}",),
            is_broad=True,
            seen_with=(rf"site-packages[/\\]transformers[/\\]{TO_ITS_ERROR}",),
            cause="the library calls `{subject}` in a way that it does not take",
            hint="add `**kwargs` to its parameters",
        ),
    )
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

    `DynamicCache.update() got an unexpected keyword argument 'layer'`, `apply_rotary_pos_emb()
    takes 4 positional arguments but 5 were given`.

    Look up the function's signature in the installed release.
    """

    code = "SIG102"
    messages = (
        Message(
            patterns=(rf"\b{LIBRARY}\.(?P<subject>\w+){MISFIT}",),
            cause="the model's code calls the library's `{subject}` with arguments that do not fit",
        ),
        Message(
            patterns=(rf"(?<![.\w])(?P<subject>(?!__init__|_pad\b)[a-z_]\w*){MISFIT}",),
            is_broad=True,
            seen_with=(rf"(?:transformers_modules[/\\]|modeling_\w+\.py\"){TO_ITS_ERROR}",),
            cause="a call of `{subject}` does not fit what it takes",
        ),
    )
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
