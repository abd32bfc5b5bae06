"""What the walk meets while a model is built and loaded."""

from __future__ import annotations

from trueup.doctor.finding import Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts
from trueup.doctor.rules.failure_rule import FailureRule, class_of_model
from trueup.doctor.walk.failure import Failure


class TiedKeysAreAList(FailureRule):
    """The model's `_tied_weights_keys` is a list.

    5.0.0 made it a mapping of target to source: `'list' object has no attribute 'keys'`, where the
    config ties embeddings.

    Write it as a dictionary.
    """

    code = "LOAD105"
    messages = (
        Message(
            patterns=(r"'list' object has no attribute '?keys",),
            is_broad=True,
            seen_with=(r"in (?:\w*tied\w*|from_pretrained|post_init)",),
        ),
    )
    stage = "init"
    since = "5.0.0"
    evidence = "observed"
    cause = "`_tied_weights_keys` is a list, and transformers 5 takes it for a mapping"
    hint = "make `_tied_weights_keys` a dictionary of target to source"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.subject == "_tied_weights_keys"


class AttentionAskedTooEarly(FailureRule):
    """The model's `_supports_sdpa` is a property that asks a part of the model.

    Since 4.54.0 the base class reads it while it starts, before the part is there: `object has no
    attribute '_supports_sdpa'`.

    Make it a class attribute, or load with `attn_implementation="eager"`.
    """

    code = "LOAD107"
    messages = (
        Message(
            patterns=(r"has no attribute '?(?P<subject>_supports_(?:sdpa|flash_attn\w*))",),
        ),
    )
    stage = "init"
    since = "4.54.0"
    evidence = "observed"
    cause = "`{subject}` is read before the part of the model that answers it is there"
    hint = "make `{subject}` a class attribute"

    def fits(self, failure: Failure, stage: str) -> bool:
        is_support = failure.subject.startswith("_supports_")
        return failure.kind == "attribute" and is_support


class DtypeIsText(FailureRule):
    """The model's constructor hands `config.torch_dtype` to torch.

    In 4.49.x it is text while the model is built from a file: `empty(): argument 'dtype' must be
    torch.dtype, not str`.

    Pass `torch_dtype=` to `from_pretrained`.
    """

    code = "LOAD101"
    messages = (
        Message(
            patterns=(r"argument 'dtype' must be torch\.dtype, not str",),
            cause="`config.torch_dtype` goes into a constructor of torch while it is text",
        ),
    )
    stage = "load"
    since = "4.49.0"
    until = "4.50.0"
    evidence = "observed"
    cause = "`config.torch_dtype` goes into a constructor of torch while it is text: {message}"
    hint = "pass `torch_dtype=` to `from_pretrained`"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "value" and failure.subject == "dtype"


class PostInitNeverCalled(FailureRule):
    """The model's constructor does not call `self.post_init()`.

    Since 5.0.0 loading needs what it sets: `object has no attribute 'all_tied_weights_keys'`.

    Call it at the end of `__init__`.
    """

    code = "LOAD102"
    messages = (
        Message(
            patterns=(r"has no attribute '?all_tied_weights_keys",),
            cause="`__init__` never calls `self.post_init()`, and loading needs it",
        ),
    )
    stage = "load"
    since = "5.0.0"
    evidence = "observed"
    cause = "`__init__` never calls `self.post_init()`, and loading needs it: {message}"
    hint = "call `self.post_init()` at the end of `__init__`"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.subject == "all_tied_weights_keys"

    def place(self, failure: Failure, facts: Facts) -> Where:
        method = facts.code.method(facts.code.model, "__init__")
        return method.at() if method is not None else class_of_model(facts)


class DataOfMetaTensor(FailureRule):
    """The model's constructor reads the data of a tensor.

    Since 5.0.0 models are built without memory: `Tensor.item() cannot be called on meta tensors`.

    Compute with Python's numbers.
    """

    code = "LOAD106"
    messages = (
        Message(
            patterns=(
                r"Tensor\.item\(\) cannot be called on meta tensors",
                r"Cannot copy out of meta tensor",
            ),
        ),
    )
    stage = "load"
    since = "5.0.0"
    evidence = "reported"
    cause = "`{function}` reads the data of a tensor while the model has none: {message}"
    hint = "compute it with Python's own numbers instead of torch"

    def fits(self, failure: Failure, stage: str) -> bool:
        return failure.kind == "meta"


LOAD_RULES: tuple[FailureRule, ...] = (
    TiedKeysAreAList(),
    AttentionAskedTooEarly(),
    DtypeIsText(),
    PostInitNeverCalled(),
    DataOfMetaTensor(),
)
