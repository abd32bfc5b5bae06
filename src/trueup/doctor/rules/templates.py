"""Chat templates: none where one is needed, ones that do not parse, two that differ."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.version import Version

from trueup.checkpoint.checkpoint import ChatTemplate, Checkpoint
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import shown

FILE = "chat_template.jinja"
# The first release whose tokenizers read the file; from then on it wins.
FILE_READ_SINCE = Version("4.47.0")
OF_A_CHAT = re.compile(r"(?:^|[-_. /])(?:chat|instruct|it|sft|dpo|assistant)(?:$|[-_. ])", re.I)
OF_A_BASE = re.compile(r"(?:^|[-_. /])(?:base|pretrain(?:ed)?|pt)(?:$|[-_. ])", re.I)
TURNS = ("<|im_start|>", "<|start_header_id|>", "<|user|>", "<|assistant|>", "<start_of_turn>")


def _generates(checkpoint: Checkpoint) -> bool:
    names = checkpoint.architectures
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names)


def _is_chat(checkpoint: Checkpoint) -> str | None:
    """What says that the model is one for conversations, None where nothing does."""
    name = checkpoint.directory.name
    if checkpoint.revision is not None:  # a folder of a cache is called after a commit
        name = checkpoint.source
    if OF_A_CHAT.search(name):
        return f"it is called `{shown(name)}`"
    if OF_A_BASE.search(name):  # which may have the tokens of turns for later training
        return None
    turn = next((token for token in TURNS if token in checkpoint.tokenizer.added), None)
    return f"its tokenizer has `{turn}`" if turn else None


class NoTemplate(Rule):
    """A chat model without a chat template.

    `Cannot use chat template functions because tokenizer.chat_template is not set`, and servers
    refuse chats. Before 4.44.0 a default of the class was taken, which often was another model's.

    Copy `chat_template.jinja`, or the key `chat_template` of tokenizer_config.json.
    """

    code = "TPL101"
    messages = (
        Message(
            patterns=(
                r"tokenizer\.chat_template is not set",
                r"does not have a (?:default )?chat template",
            ),
        ),
    )
    stage = "chat"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        if checkpoint.tokenizer.templates or not _generates(checkpoint):
            return
        # Code of its own builds the prompt itself.
        if "AutoTokenizer" in checkpoint.auto_map or checkpoint.model_type == "chatglm":
            return
        if {"chat_template.json", "processor_config.json"} & set(checkpoint.files):
            return
        reason = _is_chat(checkpoint)
        if reason is not None:
            yield self.found(
                f"there is no chat template, and this is a chat model: {reason}",
                where=Where(path="tokenizer_config.json", key="chat_template"),
                hint=f"copy `{FILE}`, or tokenizer_config.json with its `chat_template`, from "
                "where the model came from",
            )


class TemplateDoesNotParse(Rule):
    """A chat template that Jinja cannot parse.

    Every chat ends in `jinja2.exceptions.TemplateSyntaxError: Encountered unknown tag 'oops'`.

    Copy the template again, or mend the line.
    """

    code = "TPL102"
    messages = (
        Message(
            patterns=(r"Template(?:Syntax|Assertion)Error\b",),
        ),
    )
    stage = "chat"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        for template in facts.checkpoint.tokenizer.templates:
            if template.fault is not None:
                line = f" at line {template.line} of the template" if template.line else ""
                fault = template.fault if template.fault.isprintable() else repr(template.fault)
                yield self.found(
                    f"the chat template{_named(template)} does not parse{line}: {fault[:200]}",
                    where=_place(template),
                    hint=f"copy `{shown(template.path)}` again from where the model came from",
                )


class TwoTemplates(Rule):
    """chat_template.jinja and tokenizer_config.json hold different chat templates.

    Since 4.47.0 the file wins; earlier releases do not read it. So one directory gives two
    prompts.

    Keep one of them.
    """

    code = "TPL103"
    stage = "chat"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        templates = [each for each in facts.checkpoint.tokenizer.templates if each.fault is None]
        file = next((each for each in templates if each.path == FILE), None)
        key = next(
            (
                each
                for each in templates
                if each.path == "tokenizer_config.json" and each.name == "default"
            ),
            None,
        )
        if file is None or key is None or file.text.strip() == key.text.strip():
            return
        version = facts.environment.transformers
        reads_file = version is None or version >= FILE_READ_SINCE
        winner = f"`{FILE}`" if reads_file else "the one in tokenizer_config.json"
        told = f"on transformers {version} {winner} is used" if version else f"{winner} is used"
        yield self.found(
            f"`{FILE}` and `chat_template` in tokenizer_config.json differ; {told}, since 4.47.0 "
            "the file wins and earlier releases do not read it",
            where=Where(path=FILE),
            hint="keep one of the two, or make them equal",
        )


def _named(template: ChatTemplate) -> str:
    return f" `{shown(template.name)[:60]}`" if template.name != "default" else ""


def _place(template: ChatTemplate) -> Where:
    line = template.line if template.key is None else None
    return Where(path=shown(template.path), line=line, key=template.key)


RULES: tuple[Rule, ...] = (NoTemplate(), TemplateDoesNotParse(), TwoTemplates())
