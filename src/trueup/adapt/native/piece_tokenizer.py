"""Tokenizers of Baichuan and InternLM, built from the sentencepiece file they are published with.

None of the checkpoint's code runs. What comes out is an ordinary fast tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.native.sentencepiece_file import PieceKind, SentencePieceFile, read_sentencepiece
from trueup.adapt.native.tokenizer import VOCABULARY_FILE, check_file, shared
from trueup.adapt.native.vocabulary_sentencepiece import sentencepiece_tokenizer
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
CONTROLS = (UNKNOWN, BEGIN, END)
# What the published tokenizers do where tokenizer_config.json says nothing.
ADDS_BEGIN, ADDS_END = True, False


def build_piece_tokenizer(
    checkpoint: Checkpoint, directory: Path, *, chat_template: str | None = None
) -> PreTrainedTokenizerBase:
    """Builds the tokenizer of a checkpoint; it pads on the left.

    Text that spells a control symbol becomes that token, as with every tokenizer of the library;
    `split_special_tokens=True` keeps it text.

    Raises:
        CheckpointError: the vocabulary file is missing, broken or too large for the model.
        AdaptError: the vocabulary cannot be reproduced exactly.
    """
    from transformers import PreTrainedTokenizerFast

    path = directory / VOCABULARY_FILE
    settings = checkpoint.tokenizer_config
    check_file(path)
    file = read_sentencepiece(path)
    _check_controls(file, path)
    renamed = _renamed(file, settings, path)
    tokenizer = sentencepiece_tokenizer(file, path, renamed)
    _check_size(tokenizer, checkpoint, path)
    _add_specials(tokenizer, renamed, settings, path)
    longest = checkpoint.config.get("max_position_embeddings")
    return PreTrainedTokenizerFast(
        tokenizer_object=shared(tokenizer),
        bos_token=BEGIN,
        eos_token=END,
        unk_token=UNKNOWN,
        pad_token=_pad_token(settings),
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=chat_template,
        **({"model_max_length": longest} if isinstance(longest, int) else {}),
    )


def adds_begin(checkpoint: Checkpoint) -> bool:
    """Whether the published tokenizer begins every text with `<s>`."""
    return checkpoint.tokenizer_config.get("add_bos_token", ADDS_BEGIN) is not False


def has_token(checkpoint: Checkpoint, name: str) -> bool:
    """Whether tokenizer_config.json gives some piece this name."""
    return name in _contents(checkpoint.tokenizer_config).values()


def _check_controls(file: SentencePieceFile, path: Path) -> None:
    kinds = (PieceKind.UNKNOWN, PieceKind.CONTROL, PieceKind.CONTROL)
    found = tuple((piece.text, piece.kind) for piece in file.pieces[:3])
    if found != tuple(zip(CONTROLS, kinds, strict=True)):
        names = ", ".join(f"`{text}`" for text, _ in found)
        raise CheckpointError(
            f"`{path.name}` begins with {names}, expected `<unk>`, `<s>` and `</s>`",
            where=str(path),
            hint="restore the tokenizer.model that the model was published with",
        )


def _renamed(file: SentencePieceFile, settings: Mapping[str, Any], path: Path) -> dict[int, str]:
    """Names that tokenizer_config.json gives to pieces that the vocabulary calls otherwise."""
    renamed = {}
    for number, name in _contents(settings).items():
        if number >= len(file.pieces):
            raise CheckpointError(
                f"`{name}` has the id {number}, but `{path.name}` ends at {len(file.pieces) - 1}",
                where=f"{path.parent / 'tokenizer_config.json'}: added_tokens_decoder",
                hint="use the tokenizer.model and the tokenizer_config.json of one checkpoint",
            )
        if file.pieces[number].text != name:
            renamed[number] = name
    return renamed


def _contents(settings: Mapping[str, Any]) -> dict[int, str]:
    listed = settings.get("added_tokens_decoder")
    if not isinstance(listed, Mapping):
        return {}
    return {
        int(number): str(token["content"])
        for number, token in listed.items()
        if str(number).isdecimal() and isinstance(token, Mapping) and "content" in token
    }


def _pad_token(settings: Mapping[str, Any]) -> str:
    given = settings.get("pad_token")
    name = given.get("content") if isinstance(given, Mapping) else given
    return name if name in CONTROLS else UNKNOWN


def _add_specials(
    tokenizer: Tokenizer, renamed: Mapping[int, str], settings: Mapping[str, Any], path: Path
) -> None:
    from tokenizers import AddedToken, processors

    tokenizer.add_special_tokens(
        [
            AddedToken(name, normalized=False, special=True)
            for name in (*CONTROLS, *renamed.values())
        ]
    )
    wrong = [name for number, name in renamed.items() if tokenizer.token_to_id(name) != number]
    if wrong:
        raise CheckpointError(
            f"the token `{wrong[0]}` stands twice in the vocabulary",
            where=f"{path.parent / 'tokenizer_config.json'}: added_tokens_decoder",
            hint="restore the tokenizer_config.json that the model was published with",
        )
    first = f"{BEGIN} " * (settings.get("add_bos_token", ADDS_BEGIN) is not False)
    last = f" {END}" * (settings.get("add_eos_token", ADDS_END) is True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first}$A{last}",
        pair=f"{first}$A:0 $B:0{last}",
        special_tokens=[(name, number) for number, name in enumerate(CONTROLS)],
    )


def _check_size(tokenizer: Tokenizer, checkpoint: Checkpoint, path: Path) -> None:
    rows, size = checkpoint.config.get("vocab_size"), tokenizer.get_vocab_size()
    if isinstance(rows, int) and size > rows:
        raise CheckpointError(
            f"`{path.name}` has {size} tokens, config.json has embeddings for {rows}",
            where=str(path),
            hint="use the tokenizer.model and the config.json of one checkpoint",
        )
