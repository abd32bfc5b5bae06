"""What a tokenizer's files hold: how many tokens, and the ids of the special ones. Builds nothing.

`tokenizer_files.py` sees whether the files are whole and hands what it read on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import Problem
from trueup.checkpoint.json_file import read_json

SPECIAL_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")
# The bytes alone are a vocabulary of byte-level BPE; more tokens need merges.
BYTES = 256
WITH_VOCABULARY = {"BPE": dict, "WordPiece": dict, "WordLevel": dict, "Unigram": list}
PIECE_TAG = 0x0A


def damaged_tokenizer_json(shape: Mapping[str, Any]) -> Problem | None:
    """What a tokenizer.json that parses lacks of what the tokenizers library needs."""
    model = shape.get("model")
    if not isinstance(model, dict):
        return _damaged("model", "there is no `model`: not what the tokenizers library writes")
    vocabulary = model.get("vocab")
    kind = _kind(model)
    wanted = WITH_VOCABULARY.get(kind)
    if wanted is None:
        return _damaged("model.type", f"`{kind[:40]}`, expected one of {_listing()}")
    if not isinstance(vocabulary, wanted) or not vocabulary:
        return _damaged("model.vocab", f"no vocabulary, which {kind} needs")
    needs_merges = kind == "BPE" and not model.get("ignore_merges")
    if needs_merges and not model.get("merges") and len(vocabulary) > BYTES * 2:
        told = f"a BPE vocabulary of {len(vocabulary):,} tokens and no merges"
        return _damaged("model.merges", told)
    return None


def _kind(model: Mapping[str, Any]) -> str:
    """The type of the model; older files leave it out."""
    kind = model.get("type")
    if isinstance(kind, str):
        return kind
    return "BPE" if "merges" in model else "Unigram" if "unk_id" in model else "WordPiece"


def _damaged(key: str, detail: str) -> Problem:
    return Problem(kind="malformed", path="tokenizer.json", key=key, detail=detail)


def _listing() -> str:
    return ", ".join(f"`{name}`" for name in WITH_VOCABULARY)


def size_of_tokenizer_json(shape: Mapping[str, Any]) -> int | None:
    """One more than the highest id of the vocabulary."""
    model = shape.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, list):
        return len(vocabulary)
    return highest(vocabulary)


def has_pairs(shape: Mapping[str, Any]) -> bool:
    """Whether the merges are pairs, which tokenizers 0.20 and newer write."""
    model = shape.get("model")
    merges = model.get("merges") if isinstance(model, dict) else None
    return isinstance(merges, list) and bool(merges) and isinstance(merges[0], list)


def highest(vocabulary: Any) -> int | None:
    """One more than the highest id of a mapping of tokens to ids."""
    if not isinstance(vocabulary, dict) or not vocabulary:
        return None
    ids = [number for number in vocabulary.values() if type(number) is int]
    return max(ids) + 1 if ids else None


def added_tokens(shape: Mapping[str, Any]) -> dict[str, int]:
    """`added_tokens` of tokenizer.json, by text."""
    listed = shape.get("added_tokens")
    found: dict[str, int] = {}
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict):
            text, number = entry.get("content"), entry.get("id")
            if isinstance(text, str) and type(number) is int:
                found[text] = number
    return found


def added_elsewhere(
    directory: Path, files: Mapping[str, int], tokenizer_config: Mapping[str, Any]
) -> dict[str, int]:
    """Tokens that tokenizer_config.json or added_tokens.json give ids to."""
    found: dict[str, int] = {}
    decoder = tokenizer_config.get("added_tokens_decoder")
    for number, entry in decoder.items() if isinstance(decoder, dict) else ():
        text = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(text, str) and str(number).isdecimal() and len(str(number)) < 10:
            found[text] = int(number)
    if "added_tokens.json" in files:
        shape, _ = read_json(directory, "added_tokens.json")
        found |= {text: number for text, number in shape.items() if type(number) is int}
    return found


def special_ids(
    directory: Path,
    files: Mapping[str, int],
    tokenizer_config: Mapping[str, Any],
    ids: Mapping[str, int],
) -> dict[str, int]:
    """The ids of the special tokens that the tokenizer's settings name."""
    maps = [tokenizer_config]
    if "special_tokens_map.json" in files:
        maps.append(read_json(directory, "special_tokens_map.json")[0])
    found: dict[str, int] = {}
    for settings in maps:
        for name in SPECIAL_TOKENS:
            value = settings.get(name)
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str) and text in ids:
                found.setdefault(name, ids[text])
    return found


def pieces(content: bytes) -> int:
    """How many pieces a whole sentencepiece model has: its fields number 1."""
    position = count = 0
    while position < len(content):
        tag = content[position]
        length, position = _length(content, position + 1)
        count += tag == PIECE_TAG
        if tag & 7 != 2:  # the pieces come first, with lengths all of them
            break
        position += length
    return count


def _length(content: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    for byte in content[position : position + 10]:
        number |= (byte & 0x7F) << shift
        position += 1
        shift += 7
        if byte < 0x80:
            break
    return number, position
