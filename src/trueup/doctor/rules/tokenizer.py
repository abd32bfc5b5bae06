"""Tokenizers: code of their own that current base classes call in other ways, missing files."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.modality import needs_tokenizer
from trueup.doctor.code import first
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule

VOCABULARY_ENDINGS = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    ".model",
    ".tiktoken",
    ".vocab",
)
# These take bytes or code points for ids.
WITHOUT_VOCABULARY = ("ByT5", "Canine", "Perceiver")


class BatchEncodePlusGone(Rule):
    """The model's code calls `batch_encode_plus` of its tokenizer.

    5.0.0 removed it: `has no attribute batch_encode_plus`, in `chat` as a rule.

    Call the tokenizer itself, or `pad` for ids that are there already.
    """

    code = "TOK105"
    messages = (
        Message(
            patterns=(r"no attribute '?_?batch_encode_plus",),
        ),
    )
    stage = "chat"
    since = "5.0.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        if not facts.code.speaks_of("batch_encode_plus"):
            return
        if facts.code.tokenizer is None or facts.code.assigns(
            facts.code.tokenizer, "batch_encode_plus"
        ):
            return
        for path, module in facts.code.modules.items():
            call = first(module.tree, _is_batch_encode_plus) if module.tree else None
            if call is not None:
                yield self.found(
                    "`batch_encode_plus` is called, which transformers 5 does not have",
                    where=Where(path=path, line=getattr(call, "lineno", None)),
                    hint="call the tokenizer itself, or its `pad` for ids",
                )


def _is_batch_encode_plus(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "batch_encode_plus"
    )


class VocabularyMissing(Rule):
    """The directory lacks the file that the tokenizer's vocabulary is in.

    Nothing can be tokenized without it: `Can't load tokenizer for '/models/x'`.

    Copy it from where the weights came from.
    """

    code = "TOK110"
    messages = (
        Message(
            patterns=(r"Can't load tokenizer for '?(?P<path>[^']*)",),
            cause="the tokenizer's files are not all in `{path}`",
        ),
    )
    stage = "tokenizer"
    blocks = ("native", "fixed", "isolated")

    def check(self, facts: Facts) -> Iterable[Finding]:
        files = facts.checkpoint.files
        if _needs_none(facts.checkpoint):
            return
        wanted = _own_vocabulary_files(facts)
        if wanted:
            for name, line in wanted.items():
                if name not in files:
                    yield self.found(
                        f"the tokenizer reads `{name}`, which is not in the directory",
                        where=line,
                        hint=f"copy `{name}` from where the weights came from",
                    )
        elif not any(name.endswith(VOCABULARY_ENDINGS) for name in files):
            yield self.found(
                "the directory has no vocabulary: neither `tokenizer.json` nor another one",
                where=Where(path="tokenizer.json"),
                hint="copy the tokenizer's files from where the weights came from",
            )


def _needs_none(checkpoint: Checkpoint) -> bool:
    """Whether a vocabulary is no part of such a directory.

    A hub class's, GGUF, an adapter, a model of images or sound, a tokenizer of bytes.
    """
    tokenizer = checkpoint.tokenizer_config.get("tokenizer_class")
    if isinstance(tokenizer, str) and tokenizer.startswith(WITHOUT_VOCABULARY):
        return True
    if not needs_tokenizer(checkpoint):
        return True
    is_adapter = checkpoint.adapter is not None and not checkpoint.adapter.has_own_model
    is_gguf = checkpoint.weights.format == "gguf"
    return checkpoint.hub_model is not None or is_adapter or is_gguf


class TokenizerCodeMissing(Rule):
    """A ChatGLM directory is without the tokenizer's own code, or without what names it.

    ChatGLM2, ChatGLM3 and GLM-4 share their `model_type`: the tokenizer's code, which is read and
    not run, tells which one it is. transformers says `Tokenizer class ChatGLMTokenizer does not
    exist or is not currently imported`.

    Copy the files from where the model came from.
    """

    code = "TOK111"
    messages = (
        Message(
            patterns=(r"Tokenizer class ChatGLM\w* does not exist",),
        ),
    )
    stage = "tokenizer"
    evidence = "index"
    blocks = ("native", "fixed", "isolated")

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        # Without any auto_map the directory is of an unknown kind, which CFG103 tells.
        if checkpoint.model_type != "chatglm" or not checkpoint.auto_map:
            return
        reference = checkpoint.auto_map.get("AutoTokenizer")
        name = f"{(reference or '').partition('.')[0]}.py"
        if reference is not None and ("--" in reference or name in checkpoint.remote_code):
            return
        missing = f"`{name}`" if reference else "what `auto_map` in tokenizer_config.json names"
        yield self.found(
            f"the tokenizer's own code, {missing}, is not in the directory: it tells which model "
            "of the ChatGLM line this is",
            where=Where(path=name if reference else "tokenizer_config.json"),
            hint="copy tokenizer_config.json and the Python files (configuration_chatglm.py, "
            "modeling_chatglm.py, tokenization_chatglm.py) from where the model came from",
        )


def _own_vocabulary_files(facts: Facts) -> dict[str, Where]:
    """File names in `vocab_files_names` of the tokenizer's own class, with their places."""
    owner = facts.code.tokenizer
    if owner is None or owner.module.tree is None:
        return {}
    names: dict[str, Where] = {}
    for node in owner.module.nodes:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
            continue
        target = node.targets[0]
        if not isinstance(target, ast.Name) or target.id.lower() != "vocab_files_names":
            continue
        for key, value in zip(node.value.keys, node.value.values, strict=True):
            is_vocabulary = isinstance(key, ast.Constant) and key.value == "vocab_file"
            if is_vocabulary and isinstance(value, ast.Constant) and isinstance(value.value, str):
                names[value.value.removeprefix("./")] = owner.at(value)
    return names


RULES: tuple[Rule, ...] = (
    VocabularyMissing(),
    TokenizerCodeMissing(),
    BatchEncodePlusGone(),
)
