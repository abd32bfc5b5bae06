"""Tokenizer files that lack their other half, or count other tokens than the model has."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE, shown

# Tokenizers that look words up in vocab.json and merge nothing.
WITHOUT_MERGES = ("wav2vec2", "hubert", "wavlm", "unispeech", "sew", "seamless", "vits", "fsmt",
                  "xlm", "speech")  # fmt: skip
EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight", "wte.weight", "embed_in.weight",
              "tok_embeddings.weight", "shared.weight")  # fmt: skip
# The file of each class, without its tokenizer.json.
FILE_OF_CLASS = {
    "Llama": "tokenizer.model", "Gemma": "tokenizer.model", "Mistral": "tokenizer.model",
    "CodeLlama": "tokenizer.model", "T5": "spiece.model", "Albert": "spiece.model",
    "XLNet": "spiece.model", "Pegasus": "spiece.model", "DebertaV2": "spm.model",
    "XLMRoberta": "sentencepiece.bpe.model", "MBart": "sentencepiece.bpe.model",
    "Camembert": "sentencepiece.bpe.model", "Bert": "vocab.txt", "DistilBert": "vocab.txt",
    "Electra": "vocab.txt", "MPNet": "vocab.txt", "GPT2": "vocab.json", "Roberta": "vocab.json",
    "Qwen2": "vocab.json", "CodeGen": "vocab.json", "Bart": "vocab.json",
}  # fmt: skip


def _class(checkpoint: Checkpoint) -> str:
    name = checkpoint.tokenizer_config.get("tokenizer_class")
    return name if isinstance(name, str) else ""


class HalfOfBpe(Rule):
    """A BPE vocabulary without its merges, or merges without a vocabulary.

    `vocab.json` and `merges.txt` belong together where there is no tokenizer.json: without the
    other half the tokenizer cannot be built.

    Copy the missing file.
    """

    code = "VOC101"
    stage = "tokenizer"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        files = checkpoint.files
        if "tokenizer.json" in files or "AutoTokenizer" in checkpoint.auto_map:
            return
        kinds = f"{_class(checkpoint)} {checkpoint.model_type or ''}".lower()
        if any(name in kinds for name in WITHOUT_MERGES):
            return
        pair = ("vocab.json", "merges.txt")
        there = [name for name in pair if name in files]
        # Of a model that has another vocabulary, the pair is a leftover.
        if len(there) != 1 or any(name.endswith((".model", ".tiktoken")) for name in files):
            return
        missing = pair[1 - pair.index(there[0])]
        what = "merges" if missing == "merges.txt" else "vocabulary"
        yield self.found(
            f"`{there[0]}` is there without `{missing}`: the tokenizer has no {what}",
            where=Where(path=missing),
            hint=f"copy `{missing}` or `tokenizer.json` from where the model came from",
        )


class FileOfTheClassMissing(Rule):
    """tokenizer_config.json names a class whose file is not in the directory, another's is.

    The class reads its own file or tokenizer.json.

    Copy the file, or correct `tokenizer_class`.
    """

    code = "VOC102"
    stage = "tokenizer"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        files = checkpoint.files
        name = _class(checkpoint)
        file = FILE_OF_CLASS.get(name.removesuffix("Fast").removesuffix("Tokenizer"))
        if file is None or file in files or "tokenizer.json" in files:
            return
        if "AutoTokenizer" in checkpoint.auto_map or "merges.txt" in files:
            return
        other = checkpoint.tokenizer.vocabulary_file
        if other is not None:
            yield self.found(
                f"`{shown(name)[:60]}` reads `{file}` or `tokenizer.json`; neither is there, "
                f"only `{other}`",
                where=Where(path=file),
                hint=f"copy `{file}` from where the model came from",
            )


class MoreTokensThanRows(Rule):
    """The tokenizer has more tokens than the embedding has rows.

    A token beyond the last row ends in `index out of range in self`, on a GPU in `device-side
    assert triggered`.

    Take the tokenizer and the weights from one place, or enlarge the embedding with
    `resize_token_embeddings`.
    """

    code = "VOC103"
    messages = (
        Message(
            patterns=(
                r"index out of range in self",
                r"device-side assert triggered",
            ),
            is_broad=True,
            seen_with=(
                r"functional\.py.*in embedding",
                r"embed\w*\(",
                r"indexSelect",
            ),
        ),
    )
    stage = "forward"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        tokenizer = facts.checkpoint.tokenizer
        found = _rows(facts.checkpoint)
        if found is None:
            return
        rows, source = found
        size = tokenizer.vocabulary_size
        if size is not None and size > rows:
            yield self.found(
                f"`{tokenizer.vocabulary_file}` has {size:,} tokens and {source} {rows:,} rows: "
                f"{size - rows:,} tokens have none",
                where=Where(path=tokenizer.vocabulary_file),
                hint="take the tokenizer's files and the weights from one place",
            )
            return
        beyond = {text: number for text, number in tokenizer.added.items() if number >= rows}
        if beyond:
            text = min(beyond, key=lambda each: beyond[each])
            yield self.found(
                f"{len(beyond)} added tokens have no row: {source} has {rows:,}, and "
                f"`{shown(text)[:60]}` is {beyond[text]}; a text with one of them ends in an "
                "index error",
                where=Where(path="tokenizer_config.json"),
                hint="call `model.resize_token_embeddings(len(tokenizer))`, or use another token",
                severity="warning",
                blocks=(),
            )


def _rows(checkpoint: Checkpoint) -> tuple[int, str] | None:
    """How many tokens the embedding has, and what says so."""
    named = [
        name
        for name, info in checkpoint.weights.tensors.items()
        if name.endswith(EMBEDDINGS) and len(info.shape) == 2
    ]
    if named:
        name = min(named, key=len)
        return checkpoint.weights.tensors[name].shape[0], f"`{name[:80]}`"
    for key in ("padded_vocab_size", "vocab_size"):
        value = checkpoint.config.get(key)
        if type(value) is int and value > 0:
            return value, f"`{key}` of config.json says"
    return None


RULES: tuple[Rule, ...] = (HalfOfBpe(), FileOfTheClassMissing(), MoreTokensThanRows())
