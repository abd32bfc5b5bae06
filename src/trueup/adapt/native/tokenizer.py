"""Tokenizers of the GLM family, built from the vocabulary files that they are published with.

None of the checkpoint's code runs. What comes out is an ordinary fast tokenizer: saved, it loads
with plain `AutoTokenizer`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.native.chat_format import PREFIX_TOKENS, chat_template
from trueup.adapt.native.sentencepiece_file import read_sentencepiece
from trueup.adapt.native.vocabulary_sentencepiece import sentencepiece_tokenizer
from trueup.adapt.native.vocabulary_tiktoken import tiktoken_tokenizer
from trueup.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

VOCABULARY_FILE = "tokenizer.model"
END_OF_TEXT = {"chatglm2": "</s>", "chatglm3": "</s>", "glm4": "<|endoftext|>"}
# A model with role tokens ends its turn by opening the next one.
STOP_TOKENS = {
    "chatglm2": (END_OF_TEXT["chatglm2"],),
    "chatglm3": (END_OF_TEXT["chatglm3"], "<|user|>", "<|observation|>"),
    "glm4": (END_OF_TEXT["glm4"], "<|user|>", "<|observation|>"),
}
# The published tokenizers number these behind the vocabulary, in this order. ChatGLM2 and
# ChatGLM3 call two of them `sop` and `eop`: here they are written as GLM-4 writes them, because
# a fast tokenizer finds special tokens inside words, `sophisticated` among them.
_FIRST_SPECIALS = ("[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>")
_ROLE_SPECIALS = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
SPECIAL_TOKENS = {
    "chatglm2": _FIRST_SPECIALS,
    "chatglm3": (*_FIRST_SPECIALS, *_ROLE_SPECIALS),
    "glm4": (
        END_OF_TEXT["glm4"],
        *_FIRST_SPECIALS,
        *_ROLE_SPECIALS,
        "<|begin_of_image|>",
        "<|end_of_image|>",
        "<|begin_of_video|>",
        "<|end_of_video|>",
    ),
}
_CONTROL_PIECES = ("<unk>", "<s>", "</s>")
PAD_TOKENS = {"chatglm2": "<unk>", "chatglm3": "<unk>", "glm4": END_OF_TEXT["glm4"]}


def build_tokenizer(
    family: str,
    directory: Path,
    *,
    config: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
) -> PreTrainedTokenizerBase:
    """Builds the tokenizer of a checkpoint of `chatglm2`, `chatglm3` or `glm4`.

    It pads on the left, begins every text with `[gMASK]sop`, makes no position ids, and has a
    chat template. Text that spells a special token becomes that token, as with every fast
    tokenizer; `split_special_tokens=True` keeps it text, and `encode_chat` always does.

    Raises:
        CheckpointError: the vocabulary file is missing, broken or too large for the model.
        AdaptError: the vocabulary cannot be reproduced exactly.
    """
    from transformers import PreTrainedTokenizerFast

    path = directory / VOCABULARY_FILE
    check_file(path)
    dummy_prefix = False
    if family == "glm4":
        tokenizer = tiktoken_tokenizer(path)
    else:
        file = read_sentencepiece(path)
        dummy_prefix = file.adds_dummy_prefix
        tokenizer = sentencepiece_tokenizer(file, path)
    _add_specials(family, tokenizer, tokenizer_config, path)
    _check_size(tokenizer, config, path)
    unknown = {} if family == "glm4" else {"unk_token": PAD_TOKENS[family]}
    return PreTrainedTokenizerFast(
        tokenizer_object=shared(tokenizer),
        eos_token=END_OF_TEXT[family],
        pad_token=PAD_TOKENS[family],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=chat_template(family, dummy_prefix=dummy_prefix),
        **_longest_text(config),
        **unknown,
    )


def stop_token_ids(family: str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The ids that end an answer, the end of text first."""
    return tuple(int(tokenizer.convert_tokens_to_ids(token)) for token in STOP_TOKENS[family])


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    """Saves a tokenizer so that every supported release of transformers can load it.

    For fast tokenizers without a class of their own release 5 writes a name that release 4
    does not know; the older name works with both.
    """
    tokenizer.save_pretrained(directory)
    path = directory / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    if settings.get("tokenizer_class") != "TokenizersBackend":
        return
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    text = json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def shared(tokenizer: Tokenizer) -> Any:
    """The tokenizer as transformers' constructor is to be given it: it is not copied there."""
    return _Shared(tokenizer)


class _Shared:
    """A tokenizer that survives the deep copy in transformers' constructor uncopied.

    The copy goes through JSON, which takes longer than building the tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __deepcopy__(self, memo: dict[int, Any]) -> Tokenizer:
        return self._tokenizer


def check_file(path: Path) -> None:
    """Raises CheckpointError where the vocabulary file is missing or a pointer."""
    if not path.is_file():
        raise CheckpointError(
            f"`{path.name}`, the vocabulary of this model, is missing",
            where=str(path.parent),
            hint=f"download `{path.name}` into this directory",
        )
    with path.open("rb") as file:
        if file.read(32).startswith(b"version https://git-lfs"):
            raise CheckpointError(
                f"`{path.name}` is a Git LFS pointer, not the vocabulary itself",
                where=str(path),
                hint="run `git lfs pull` in this directory",
            )


def _add_specials(
    family: str, tokenizer: Tokenizer, tokenizer_config: Mapping[str, Any], path: Path
) -> None:
    from tokenizers import AddedToken, processors

    names = SPECIAL_TOKENS[family]
    first = tokenizer.get_vocab_size()
    if family == "glm4":
        names = _published_specials(tokenizer_config, first, path.parent) or names
    inside = () if family == "glm4" else _CONTROL_PIECES
    tokenizer.add_special_tokens(
        [AddedToken(name, normalized=False, special=True) for name in (*inside, *names)]
    )
    added = tokenizer.get_added_tokens_decoder()
    ids = {token.content: number for number, token in added.items()}
    wrong = [name for number, name in enumerate(names, first) if ids.get(name) != number]
    wrong += [name for name in inside if ids[name] >= first]
    wrong += [name for name in (*PREFIX_TOKENS, END_OF_TEXT[family]) if name not in ids]
    if wrong:
        raise CheckpointError(
            f"the special token `{wrong[0]}` has no id, or that of a word, in `{path.name}`",
            where=str(path),
            hint="restore the tokenizer.model that the model was published with",
        )
    end = END_OF_TEXT[family]
    start = " ".join(PREFIX_TOKENS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A",
        pair=f"{start} $A $B:0 {end}:0",
        special_tokens=[(name, ids[name]) for name in (*PREFIX_TOKENS, end)],
    )


def _published_specials(
    tokenizer_config: Mapping[str, Any], first: int, directory: Path
) -> tuple[str, ...]:
    """The special tokens that `tokenizer_config.json` lists, in order; `first` is their first id.

    Checkpoints of this layout differ in them. Early ones list none.
    """
    listed = tokenizer_config.get("added_tokens_decoder") or {}
    try:
        names = {int(number): str(token["content"]) for number, token in listed.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        names = {-1: ""}
    if sorted(names) != list(range(first, first + len(names))):
        raise CheckpointError(
            f"the special tokens are not numbered from {first} on without a gap",
            where=f"{directory / 'tokenizer_config.json'}: added_tokens_decoder",
            hint="use the tokenizer.model and the tokenizer_config.json of one checkpoint",
        )
    return tuple(names[number] for number in sorted(names))


def _check_size(tokenizer: Tokenizer, config: Mapping[str, Any], path: Path) -> None:
    rows = config.get("padded_vocab_size", config.get("vocab_size"))
    size = tokenizer.get_vocab_size()
    if isinstance(rows, int) and size > rows:
        raise CheckpointError(
            f"`{path.name}` has {size} tokens, config.json has embeddings for {rows}",
            where=str(path),
            hint="use the tokenizer.model and the config.json of one checkpoint",
        )


def _longest_text(config: Mapping[str, Any]) -> dict[str, int]:
    longest = config.get("seq_length")
    return {"model_max_length": longest} if isinstance(longest, int) else {}
