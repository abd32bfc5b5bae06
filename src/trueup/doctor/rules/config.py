"""What config.json says of the architecture, against what can run it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.config_hint import config_hint
from trueup.environment.causal_models import CAUSAL_CLASSES
from trueup.environment.model_types import absence, presence
from trueup.environment.symbols.symbols import Lifetime

# What AutoConfig raises of a type that it does not know.
RAISED = "ValueError"
# How alike a misspelt type is to the right one.
NEAR = 0.85
WITHOUT_DIGITS = str.maketrans("", "", "0123456789")


class UnknownArchitecture(Rule):
    """Neither the transformers that is asked about nor code in the directory implements the model.

    transformers says `does not recognize this architecture`, or `Unrecognized configuration
    class`.

    Install a transformers that knows it, or get the directory's Python files.
    """

    code = "CFG103"
    messages = (
        Message(
            patterns=(r"Unrecognized model in .* Should have a `?model_type",),
            cause="config.json has no `model_type`, and no code of its own says what it is",
            hint="copy config.json from where the weights came from, or add its `model_type`",
        ),
        Message(
            patterns=(
                r"does not recognize this architecture",
                r"Unrecognized configuration class",
                r"KeyError: '(?:chatglm|baichuan|internlm2?|qwen|aquila)'",
                r"KeyError: '(?:qwen[23]\w*|mistral\d?|mixtral|gemma\d?\w*|phi3|phimoe|glm4\w*|"
                r"deepseek_v\d\w*|llama4?|olmo\w*|gpt_oss|cohere\d?|granite\w*|starcoder2)'",
            ),
        ),
    )
    stage = "config"
    blocks = ("native", "fixed", "isolated")
    evidence = "index"

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint, environment = facts.checkpoint, facts.environment
        # The library makes the configuration where the model's code brings none.
        if "AutoConfig" in checkpoint.auto_map or not checkpoint.config:
            return
        if checkpoint.hub_model is not None:  # loaded by its own class
            return
        if environment.is_assumed:
            yield from self._of_release(facts)
            return
        if not environment.library_models:
            return
        model_type = checkpoint.model_type
        if model_type is None:
            yield self.found(
                _without_type(checkpoint),
                where=Where(path="config.json", key="model_type"),
                hint=config_hint(checkpoint),
            )
        elif model_type not in environment.library_models:
            finding = self.found(
                f"transformers {environment.transformers} does not know the model type "
                f"`{model_type[:80]}`, and {_without_code(checkpoint)}",
                where=Where(path="config.json", key="model_type"),
                hint=_release_hint(facts) or _hint(model_type, environment.library_models),
                blocks=("fixed", "isolated"),
            )
            yield replace(finding, exception=RAISED)

    def _of_release(self, facts: Facts) -> Iterable[Finding]:
        """Whether a release that is not here has the type, which its index tells."""
        checkpoint, version = facts.checkpoint, facts.environment.transformers
        model_type = checkpoint.model_type
        if model_type is None or version is None:
            return
        told = absence(model_type, checkpoint.architectures, version)
        if told is None:
            if presence(model_type, version, checkpoint.architectures) == "no":
                finding = self.found(
                    f"no release of transformers that is known has the model type "
                    f"`{model_type[:80]}`, and {_without_code(checkpoint)}",
                    where=Where(path="config.json", key="model_type"),
                    hint=_hint(model_type, CAUSAL_CLASSES),
                    blocks=("fixed", "isolated"),
                )
                yield replace(finding, exception=RAISED)
            return
        sign, life = told
        last = f" since {life.since}" if life.since else ""
        first = f" before {life.until}" if life.until else ""
        finding = self.found(
            f"transformers {version} does not have `{sign.removeprefix('transformers.')}`, which "
            f"the model type `{model_type[:80]}` needs: no release has it{last}{first}",
            where=Where(path="config.json", key="model_type"),
            hint=_other_release(life),
            blocks=("fixed", "isolated"),
        )
        since, until = (str(each) if each else None for each in (life.since, life.until))
        yield replace(finding, since=since, until=until, exception=RAISED)


def _other_release(life: Lifetime) -> str:
    if life.until:
        return f"use transformers {life.until} or newer"
    return f"use a transformers before {life.since}"


def _release_hint(facts: Facts) -> str | None:
    """Which release has the type that the installed one lacks; None where none is known to."""
    checkpoint, version = facts.checkpoint, facts.environment.transformers
    if checkpoint.model_type is None or version is None:
        return None
    told = absence(checkpoint.model_type, checkpoint.architectures, version)
    return None if told is None else _other_release(told[1])


def _hint(model_type: str, known: Mapping[str, object]) -> str:
    """What to do about an unknown type, which may be a known one written wrongly."""
    hint = "install a newer transformers, or get the model's Python files"
    near = get_close_matches(model_type[:80], known, n=1, cutoff=NEAR)
    # Of another number it is another model.
    if not near or near[0].translate(WITHOUT_DIGITS) == model_type.translate(WITHOUT_DIGITS):
        return hint
    return f"did you mean `{near[0]}`? Else {hint}"


def _without_type(checkpoint: Checkpoint) -> str:
    given = checkpoint.config.get("model_type")
    if given is None:
        return "config.json has no `model_type`, and no code of its own says what it is"
    return f"`model_type` is {str(given)[:80]}, expected a name such as `qwen2`"


def _without_code(checkpoint: Checkpoint) -> str:
    if checkpoint.auto_map:
        return "config.json's `auto_map` names no code for it: it has no `AutoConfig`"
    return "the directory has no code of its own"


RULES: tuple[Rule, ...] = (UnknownArchitecture(),)
