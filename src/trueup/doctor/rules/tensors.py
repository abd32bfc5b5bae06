"""The weights' tensors by name against those of the library's class. Reads no numbers."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE, shown
from trueup.doctor.rules.shapes import for_the_class_alone
from trueup.doctor.rules.weight_files import WRAPPERS

SHOWN = 3
BARE_OR_CAUSAL = ("Model", "ForCausalLM")
SAME_PLACE = "copy config.json and the weights from the same place"


def _is_wrapped(facts: Facts) -> bool:
    """Whether all names are wrong for one reason, which is another rule's."""
    tensors = facts.checkpoint.weights.tensors
    return any(all(name.startswith(start) for name in tensors) for start in WRAPPERS)


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"`{shown(name)[:120]}`" for name in names[:SHOWN]) + more


class TensorsAbsent(Rule):
    """The weights lack tensors that the model's class has.

    transformers fills them with random numbers and only warns: `Some weights of the model were not
    initialized`; `trueup chat` refuses. Told for the architectures whose tensors are known: Llama,
    Mistral, Qwen2, Qwen3, Gemma, Gemma 2, Phi-3, OLMo 2, Granite, StarCoder2, GLM, ChatGLM, GPT-J,
    BERT, RoBERTa and XLM-RoBERTa.

    Copy config.json and the weights from the same place; its `architectures` must be the class that
    the weights were saved from.
    """

    code = "DIR124"
    messages = (
        Message(
            patterns=(
                r"Some weights of [\w.]+ were not initialized from the model checkpoint",
                r"Some weights of the model were not initialized",
                r"the tensor `(?P<name>[^`]+)` is in no weight file",
                r"the weight files hold nothing for `(?P<name>[^`]+)`",
            ),
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        compared = facts.compared
        if compared is None or not compared.missing or _is_wrapped(facts):
            return
        missing = compared.missing
        names = facts.checkpoint.architectures
        if len(missing) == compared.count and names and not names[0].endswith(BARE_OR_CAUSAL):
            return  # a class with another head may have its body under another name
        told = f"no weight file has {_listed(missing)}"
        if len(missing) == compared.count:
            kind = facts.checkpoint.model_type
            told = f"the weights have none of the {compared.count} tensors of `{kind}`"
        finding = self.found(
            f"{told}: transformers would fill in random numbers",
            where=Where(path=shown(facts.checkpoint.weights.files[0]), key=shown(missing[0])[:120]),
            hint=SAME_PLACE,
        )
        yield for_the_class_alone(finding, facts.checkpoint)


class TensorsUnknown(Rule):
    """The weights have tensors that the model's class does not have.

    transformers leaves them out and only warns: `Some weights of the model checkpoint were not
    used`. So the model computes something else than was trained; `trueup chat` refuses. Told for
    the same architectures as absent ones.

    Use the class that the weights were saved from, or take the tensors out of the file.
    """

    code = "DIR125"
    messages = (
        Message(
            patterns=(
                r"Some weights of the model checkpoint (?:at \S+ )?were not used",
                r"the tensor `(?P<name>[^`]+)` is not part of the (?:architecture|layout) that",
            ),
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = ("native",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        compared = facts.compared
        if compared is None or not compared.extra or len(compared.missing) == compared.count:
            return
        extra, model_type = compared.extra, facts.checkpoint.model_type
        first = facts.checkpoint.weights.tensors.get(extra[0])
        path = first.file if first is not None else facts.checkpoint.weights.files[0]
        finding = self.found(
            f"the weights have {_listed(extra)}, which the class of `{model_type}` does not have "
            "with this config.json: transformers would leave it out",
            where=Where(path=shown(path), key=shown(extra[0])[:120]),
            hint=SAME_PLACE,
        )
        yield for_the_class_alone(finding, facts.checkpoint)


RULES: tuple[Rule, ...] = (TensorsAbsent(), TensorsUnknown())
